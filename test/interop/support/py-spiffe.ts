import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, rmSync } from "node:fs";
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
  const home = fileURLToPath(new URL(`../../../.tools/py-spiffe-${stamp}`, import.meta.url));
  const bin = `${home}/bin/python`;
  if (existsSync(`${home}/complete`)) return bin;
  rmSync(home, { recursive: true, force: true });
  await must(python ?? "", ["-m", "venv", home]);
  const pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
  await must(bin, [...pip, "--require-hashes", "-r", requirements]);
  // A mark that comes last: what an interrupted installation left is not taken for whole.
  await must(bin, ["-c", `open(${JSON.stringify(`${home}/complete`)}, "w").close()`]);
  return bin;
}

async function must(command: string, args: readonly string[]): Promise<void> {
  const { status, stderr } = await run(command, args);
  if (status !== 0) throw new Error(`${command} ${args.join(" ")} failed: ${stderr}`);
}
