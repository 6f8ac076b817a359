import { join } from "node:path";
import { createCsr } from "../core/x509/csr.ts";
import { exportPrivateKey, nodeKeyMaker } from "../core/x509/key-pair.ts";
import { certificatesToPem, toPem } from "../core/x509/pem.ts";
import type { Svid } from "../wire/herald/v1/svids.ts";
import { withIssuer } from "./admin-client.ts";
import { CliError } from "./cli-error.ts";
import { writePrivately } from "./identity-files.ts";
import type { Surroundings } from "./surroundings.ts";

/**
 * Has an SVID minted for a key that is made here, and writes both under SPIRE's file names (`spire-server x509 mint -write`). The key is written
 * first: a folder that takes no files must not leave an SVID behind that nobody has.
 * @throws {CliError} FILE_FAILED, ADMIN_UNREACHABLE, ADMIN_DENIED, ADMIN_REFUSED
 */
export async function mintSvid(
  wanted: {
    readonly admin?: string;
    readonly spiffeId: string;
    readonly reason: string;
    readonly write: string;
    readonly ttl?: number;
    readonly dns?: readonly string[];
  },
  surroundings: Surroundings,
): Promise<{ readonly svid: Svid; readonly files: readonly string[] }> {
  const { spiffeId, reason, write, ttl: ttlSeconds = 0, dns: dnsNames = [] } = wanted;
  const pair = await nodeKeyMaker.p256();
  const csr = Buffer.from(await createCsr(pair));
  await writePrivately(write, [
    ["key.pem", toPem("PRIVATE KEY", exportPrivateKey(pair.privateKey))],
  ]);
  const { svid, chain, bundle } = await withIssuer(
    wanted.admin,
    surroundings,
    async (admin) => await admin.mintSvid({ spiffeId, csr, ttlSeconds, dnsNames, reason }),
  );
  if (svid === undefined || chain.length === 0)
    throw new CliError("ADMIN_REFUSED", "the issuer's answer holds no SVID", {
      cure: "use a `herald` of the issuer's own version; herald version tells this one's",
    });
  await writePrivately(write, [
    ["svid.pem", certificatesToPem(chain)],
    ["bundle.pem", certificatesToPem(bundle)],
  ]);
  return { svid, files: ["key.pem", "svid.pem", "bundle.pem"].map((name) => join(write, name)) };
}
