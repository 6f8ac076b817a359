// The npm packages of the lock, and the pinned Node.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { lastLines, looksOffline, run, say } from "./child.mjs";
import { isExecutable, MissingPart, onPath, pinnedNode, root } from "./parts.mjs";

const tools = join(root, ".tools");
const stamp = join(root, "node_modules", ".herald-setup");

const lockHash = () =>
  createHash("sha256")
    .update(readFileSync(join(root, "package-lock.json")))
    .update(`${process.platform} ${process.arch}`)
    .digest("hex");

const readStamp = () => {
  try {
    return readFileSync(stamp, "utf8");
  } catch {
    return "";
  }
};

const libc = () =>
  process.report.getReport().header.glibcVersionRuntime === undefined ? "musl" : "glibc";

/** Does a package of the lock belong on this machine? As npm reads `os`, `cpu` and `libc`: names, or names after "!". */
function belongsHere(entry) {
  const fits = (rule, value) => {
    if (rule === undefined) return true;
    const names = [rule].flat();
    if (names.includes(`!${value}`)) return false;
    const wanted = names.filter((name) => !name.startsWith("!"));
    return wanted.length === 0 || wanted.includes(value);
  };
  return (
    fits(entry.os, process.platform) &&
    fits(entry.cpu, process.arch) &&
    (entry.libc === undefined || fits(entry.libc, libc()))
  );
}

/**
 * Whether node_modules, installed by somebody else's `npm ci`, already is what the lock says. npm writes its hidden
 * lockfile last, so an interrupted install has none. Native packages are the ones that an old Node leaves out silently.
 */
function alreadyInstalled() {
  try {
    const hidden = JSON.parse(
      readFileSync(join(root, "node_modules", ".package-lock.json"), "utf8"),
    ).packages;
    const wanted = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")).packages;
    return Object.entries(wanted).every(([path, entry]) => {
      if (path === "") return true;
      const isNative = entry.os !== undefined || entry.cpu !== undefined;
      if (entry.optional === true && !(isNative && belongsHere(entry))) return true;
      return (
        hidden[path]?.version === entry.version &&
        hidden[path]?.integrity === entry.integrity &&
        existsSync(join(root, path))
      );
    });
  } catch {
    return false;
  }
}

/** npm's own program, so that any Node can run it. */
function npmProgram() {
  const { npm_execpath: started } = process.env;
  if (started !== undefined && /npm-cli\.c?js$/.test(started)) return started;
  const npm = onPath("npm");
  if (npm === undefined) {
    throw new MissingPart(
      "npm is not here.",
      "Install it beside Node (Debian: apt-get install npm), then run this again.",
    );
  }
  return realpathSync(npm);
}

const networkCure =
  "The package registry can't be reached: check the network, the proxy (npm config get proxy) and the registry\n(npm config get registry), then run this again.";

async function npmCi({ node, cwd, what }) {
  // No install scripts: every package that is used here ships its binary; ssh2 and cpu-features (Docker over ssh,
  // unused) would look for a compiler.
  const args = [
    npmProgram(),
    "ci",
    "--ignore-scripts",
    "--no-audit",
    "--no-fund",
    "--loglevel=error",
  ];
  const env = { ...process.env, npm_config_ignore_scripts: "true" };
  // The settings of the `npm run` that started this, such as its working folder, are not for this npm.
  delete env.npm_config_local_prefix;
  delete env.INIT_CWD;
  const { code, output } = await run(node, args, { cwd, env });
  if (code === 0) return;
  const cure = looksOffline(output)
    ? networkCure
    : /in sync/.test(output)
      ? "package.json and package-lock.json differ: npm install, then node tools/complete-lock.mjs."
      : "Mend what npm names, then run this again.";
  throw new MissingPart(
    `${what} could not be installed: npm ci in ${cwd} ended with ${code}.`,
    `${cure}\n${lastLines(output)}`,
  );
}

/** Old Nodes make npm leave out native packages that name a newer one, without a word: then the pinned Node runs npm. */
const runsNpmWell = () => {
  const [major, minor] = process.versions.node.split(".").map(Number);
  return (major === 20 && minor >= 19) || (major === 22 && minor >= 12) || major > 22;
};

const pinnedPackages = () =>
  JSON.parse(readFileSync(join(root, "tools", "pinned-node", "package.json"), "utf8"))
    .optionalDependencies;

const nodeVersion = () => Object.values(pinnedPackages())[0];

const nodePlatforms = () =>
  Object.keys(pinnedPackages()).map((name) => name.replace(/^node-(bin-)?/, ""));

const nodeRuns = (path) =>
  isExecutable(path) &&
  spawnSync(path, ["--version"], { encoding: "utf8" }).stdout?.trim() === `v${nodeVersion()}`;

/** The pinned Node under .tools/, from its own small lock. Put in place by a rename, so never half there. */
async function nodeInTools() {
  const home = join(tools, `node-${nodeVersion()}`);
  const binary = () => {
    const modules = join(home, "node_modules");
    const found = existsSync(modules)
      ? readdirSync(modules).find((name) => name.startsWith("node-"))
      : undefined;
    return found === undefined ? "" : join(modules, found, "bin", "node");
  };
  if (nodeRuns(binary())) return binary();
  say(`installing Node ${nodeVersion()} ...`);
  const fresh = `${home}.new`;
  rmSync(fresh, { recursive: true, force: true });
  cpSync(join(root, "tools", "pinned-node"), fresh, {
    recursive: true,
    filter: (path) => !path.endsWith("node_modules"),
  });
  await npmCi({ node: process.execPath, cwd: fresh, what: `Node ${nodeVersion()}` });
  rmSync(home, { recursive: true, force: true });
  renameSync(fresh, home);
  // npm passes over optional packages that it can't have, whatever the reason; so it is asked of the result.
  if (binary() === "" && nodePlatforms().includes(`${process.platform}-${process.arch}`)) {
    throw new MissingPart(
      `Node ${nodeVersion()} could not be installed: npm brought no package for ${process.platform} ${process.arch}.`,
      networkCure,
    );
  }
  if (!nodeRuns(binary())) {
    throw new MissingPart(
      `Node ${nodeVersion()} does not run here (${process.platform} ${process.arch}).`,
      `It is pinned for ${nodePlatforms().join(", ")} (on Linux with glibc 2.28 or newer). Use such a machine or container.`,
    );
  }
  return binary();
}

/** Puts the pinned Node where bin/herald and .bin/node look for it. */
function placeNode(from) {
  const target = pinnedNode();
  mkdirSync(dirname(target), { recursive: true });
  rmSync(`${target}.new`, { force: true });
  try {
    linkSync(from, `${target}.new`);
  } catch {
    copyFileSync(from, `${target}.new`);
  }
  chmodSync(`${target}.new`, 0o755);
  renameSync(`${target}.new`, target);
  const link = join(root, "node_modules", ".bin", "node");
  if (!isExecutable(link)) {
    rmSync(link, { force: true });
    symlinkSync("../node/bin/node", link);
  }
}

/** Nothing to do? Answered from two small files. */
export const packagesReady = () => readStamp() === lockHash() && isExecutable(pinnedNode());

/** Brings node_modules to what the lock says, with the pinned Node in it. Interrupted anywhere, the next run starts over. */
export async function installPackages() {
  if (packagesReady()) return;
  const needsPackages = !alreadyInstalled();
  if (needsPackages || !nodeRuns(pinnedNode())) {
    const node = await nodeInTools();
    if (needsPackages) {
      say("installing npm packages (npm ci) ...");
      await npmCi({
        node: runsNpmWell() ? process.execPath : node,
        cwd: root,
        what: "The npm packages",
      });
    }
    if (!nodeRuns(pinnedNode())) placeNode(node);
  }
  if (!alreadyInstalled()) {
    throw new MissingPart(
      "npm ci left out packages of the lock.",
      "Is `omit` or `os`/`cpu` set in an .npmrc? (npm config get omit) Unset it and run this again.",
    );
  }
  writeFileSync(`${stamp}.new`, lockHash());
  renameSync(`${stamp}.new`, stamp);
}
