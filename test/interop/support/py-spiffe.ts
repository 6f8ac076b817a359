import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, renameSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { onPath } from "../../../tools/parts.mjs";
import { run } from "../../support/dev.ts";

const python = onPath("python3");
const folder = new URL("../python/", import.meta.url);
const requirements = fileURLToPath(new URL("requirements.txt", folder));

/** The client, for {@link Talker}. */
export const pySpiffeClient: string = fileURLToPath(new URL("client.py", folder));

/** Is there a Python that can make a virtual environment? */
export function pythonIsThere(): boolean {
  return python !== undefined && spawnSync(python, ["-c", "import ensurepip, venv"]).status === 0;
}

/** The Python of a virtual environment with py-spiffe in it, in .tools/; made by the first who asks. */
export async function pySpiffe(): Promise<string> {
  const stamp = createHash("sha256").update(readFileSync(requirements)).digest("hex").slice(0, 12);
  const home = fileURLToPath(new URL(`../../../.tools/py-spiffe-env-${stamp}`, import.meta.url));
  if (!existsSync(home)) await install(home);
  return `${home}/bin/python`;
}

/** Made beside and renamed when whole: two suites that come at once each make one, and the first is kept. */
async function install(home: string): Promise<void> {
  const beside = `${home}.${process.pid}`;
  await must(python ?? "", ["-m", "venv", beside]);
  const pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
  await must(`${beside}/bin/python`, [...pip, "--require-hashes", "-r", requirements]);
  try {
    renameSync(beside, home);
  } catch (thrown) {
    rmSync(beside, { recursive: true, force: true });
    if (!existsSync(home)) throw thrown;
  }
}

/** Can a process of this user read the client at all? A checkout in a private folder keeps it out before Herald could. */
export function canRunClient(uid: number): boolean {
  return spawnSync("test", ["-r", pySpiffeClient], { uid, gid: uid }).status === 0;
}

async function must(command: string, args: readonly string[]): Promise<void> {
  const { status, stderr } = await run(command, args);
  if (status !== 0) throw new Error(`${command} ${args.join(" ")} failed: ${stderr}`);
}
