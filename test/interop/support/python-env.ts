import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, renameSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { onPath } from "../../../tools/parts.mjs";
import { run } from "../../support/dev.ts";

const python = onPath("python3");

/** Is there a Python that can make a virtual environment? */
export function pythonIsThere(): boolean {
  return python !== undefined && spawnSync(python, ["-c", "import ensurepip, venv"]).status === 0;
}

/** The Python of a virtual environment with what `requirements` pins in it, in .tools/; made by the first who asks. */
export async function pythonWith(name: string, requirements: string): Promise<string> {
  const stamp = createHash("sha256").update(readFileSync(requirements)).digest("hex").slice(0, 12);
  const home = fileURLToPath(new URL(`../../../.tools/${name}-env-${stamp}`, import.meta.url));
  if (!existsSync(home)) await install(home, requirements);
  return `${home}/bin/python`;
}

/** Made beside and renamed when whole: two suites that come at once each make one, and the first is kept. */
async function install(home: string, requirements: string): Promise<void> {
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

async function must(command: string, args: readonly string[]): Promise<void> {
  const { status, stderr } = await run(command, args);
  if (status !== 0) throw new Error(`${command} ${args.join(" ")} failed: ${stderr}`);
}
