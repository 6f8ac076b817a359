import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { toPem } from "../../src/core/x509/pem.ts";
import { certificateProofOf, loadAttestors } from "../../src/daemon/attestors-config.ts";
import { loadIssuerConfig, loadNodeConfig } from "../../src/daemon/config.ts";
import { ConfigError } from "../../src/daemon/config-error.ts";
import { makeAuthority, makeKey, makeLeaf } from "../support/ca-world.ts";

const folder = mkdtempSync(join(tmpdir(), "hattest-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const pin = "0123456789abcdef".repeat(4);
const issuer = `trustDomain: example.org
nats: { servers: ["tls://127.0.0.1:4222"], pins: [${pin}], seedFile: a, nodeSeedFile: b }
enrolment: { listen: 127.0.0.1:8443 }
`;
const node = `trustDomain: example.org
dir: state
name: web-1
issuerUrls: ["https://issuer.example.org:8443"]
`;

function file(name: string, text: string | Buffer): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

function problems(load: (path: string) => unknown, text: string): readonly string[] {
  try {
    load(file("herald.yaml", text));
    return [];
  } catch (thrown) {
    if (!(thrown instanceof ConfigError)) throw thrown;
    return thrown.problems.map(({ key }) => key);
  }
}

test("an issuer's attestors, with defaults", () => {
  const { attestors } = loadIssuerConfig(
    file(
      "herald.yaml",
      `${issuer}attestors: { x509pop: { caFile: ca.pem, denySerials: ["00:4A:01"] } }\n`,
    ),
  );
  expect(attestors).toEqual({
    joinToken: true,
    x509pop: {
      caFile: join(folder, "ca.pem"),
      name: { parts: [{ kind: "fingerprint" }] },
      labels: {},
      denySerials: ["4a01"],
    },
  });
});

test.for([
  ["name: web", "attestors.x509pop.name"],
  ['name: "{cn}{dns}"', "attestors.x509pop.name"],
  ['name: "{who}"', "attestors.x509pop.name"],
  ['labels: { a: "{who}" }', "attestors.x509pop.labels.a"],
  ["denySerials: [xyz]", "attestors.x509pop.denySerials.0"],
  ["other: 1", "attestors.x509pop.other"],
])("%s is refused where it stands", ([text, key]) => {
  const bad = `${issuer}attestors: { x509pop: { caFile: ca.pem, ${text} } }\n`;
  expect(problems(loadIssuerConfig, bad)).toEqual([key]);
});

test("a node's attestor wants certificate, key and pin", () => {
  const whole = `${node}attestor: { x509pop: { certFile: c, keyFile: k, pin: ${pin} } }\n`;
  expect(problems(loadNodeConfig, whole)).toEqual([]);
  expect(
    problems(loadNodeConfig, `${node}attestor: { x509pop: { certFile: c, keyFile: k } }\n`),
  ).toEqual(["attestor.x509pop.pin"]);
});

test("files that are not there, or hold something else, are named", async () => {
  const ca = makeAuthority();
  const key = makeKey();
  const certFile = file("cert.pem", toPem("CERTIFICATE", makeLeaf(ca, { key })));
  const keyFile = file("key.pem", key.privateKey.export({ type: "pkcs8", format: "pem" }));
  const broken = file("broken.pem", "nothing");
  const proof = await certificateProofOf({ certFile, keyFile, pin });
  expect(proof.pin).toBe(pin);
  for (const bad of [
    { certFile: broken, keyFile, pin },
    { certFile, keyFile: broken, pin },
    { certFile, keyFile: join(folder, "missing.pem"), pin },
  ])
    await expect(certificateProofOf(bad)).rejects.toThrow(/(broken|missing)\.pem/);
  const name = { parts: [{ kind: "cn" as const }] };
  const x509pop = { caFile: broken, name, labels: {}, denySerials: [] };
  await expect(loadAttestors({ joinToken: true, x509pop })).rejects.toThrow(/broken\.pem/);
});
