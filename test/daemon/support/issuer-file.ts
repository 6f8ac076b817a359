import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";

/** An issuer's configuration file with what `more` says beside the least there is; gone after the test. */
export function issuerFile(more: string): string {
  const folder = mkdtempSync(join(tmpdir(), "hissuer-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, "issuer.yaml");
  const least = `trustDomain: example.org
nats:
  servers: ["tls://127.0.0.1:4222"]
  pins: [${"0123456789abcdef".repeat(4)}]
  seedFile: issuer.nk
  nodeSeedFile: node.nk
enrolment: { listen: "127.0.0.1:0" }
`;
  writeFileSync(path, `${least}${more}`);
  return path;
}
