import { mkdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { certificatesToPem, toPem } from "../core/x509/pem.ts";
import { reasonOf } from "../kit/errors.ts";
import { CliError } from "./cli-error.ts";
import type { FetchedIdentities } from "./fetch-x509.ts";

/**
 * Writes every identity under SPIRE's file names (`spire-agent api fetch x509 -write`), each file 0600 and whole at any moment.
 * @throws {CliError} FILE_FAILED
 */
export async function writeIdentities(
  dir: string,
  fetched: FetchedIdentities,
): Promise<readonly string[]> {
  const federated = [...fetched.federatedBundles.values()];
  const files = fetched.svids.flatMap((svid, n): (readonly [string, string])[] => [
    [`svid.${n}.pem`, certificatesToPem(svid.chain)],
    [`svid.${n}.key`, toPem("PRIVATE KEY", svid.privateKey)],
    [`bundle.${n}.pem`, certificatesToPem(svid.bundle)],
    ...federated.map(
      (bundle, m) => [`federated_bundle.${n}.${m}.pem`, certificatesToPem(bundle)] as const,
    ),
  ]);
  await writePrivately(dir, files);
  return files.map(([name]) => join(dir, name));
}

/**
 * Writes files for this user's eyes only, each whole at any moment.
 * @throws {CliError} FILE_FAILED
 */
export async function writePrivately(
  dir: string,
  files: readonly (readonly [name: string, text: string])[],
): Promise<void> {
  try {
    await mkdir(dir, { recursive: true, mode: 0o700 });
    for (const [name, text] of files) await replace(join(dir, name), text);
  } catch (cause) {
    throw new CliError("FILE_FAILED", `the identities could not be written: ${reasonOf(cause)}`, {
      cause,
      cure: "give a folder with --write that this user may write to",
    });
  }
}

/** A new file put in place of the old one: also one that was readable by others becomes 0600, and no symlink is followed. */
async function replace(path: string, text: string): Promise<void> {
  const fresh = `${path}.${process.pid}.new`;
  await writeFile(fresh, text, { mode: 0o600, flag: "wx" });
  await rename(fresh, path);
}
