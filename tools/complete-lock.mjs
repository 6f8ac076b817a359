// Completes package-lock.json: every optional package that a locked package names has an entry.
//   node tools/complete-lock.mjs          after `npm install <package>`
// npm leaves out those that its registry did not offer when the lock was written (a mirror often carries the packages of
// a few platforms only), and later npms refuse such a lock ("Missing: … from lock file"). The entry that is added has
// no hash, so it is only ever installed on a platform that nobody locked yet; there, `npm install` adds it.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./parts.mjs";

const operatingSystems = [
  "android",
  "darwin",
  "freebsd",
  "linux",
  "netbsd",
  "openbsd",
  "openharmony",
  "sunos",
  "win32",
];
const processors = {
  aarch64: "arm64",
  arm: "arm",
  arm64: "arm64",
  armv7: "arm",
  ia32: "ia32",
  loong64: "loong64",
  ppc64: "ppc64",
  riscv64: "riscv64",
  s390x: "s390x",
  wasm32: "wasm32",
  x64: "x64",
  x86_64: "x64",
};

/** What `@scope/tool-linux-arm64-musl` says of where it runs; undefined when it names no platform. */
export function platformOf(name) {
  const words = name.slice(name.lastIndexOf("/") + 1).split("-");
  const os = operatingSystems.find((word) => words.includes(word));
  const cpu = Object.keys(processors).find((word) => words.includes(word));
  if (os === undefined && cpu !== "wasm32") return undefined;
  return {
    ...(cpu === undefined ? {} : { cpu: [processors[cpu]] }),
    ...(words.includes("musl") ? { libc: ["musl"] } : {}),
    ...(os === undefined ? {} : { os: [os] }),
  };
}

/** Where npm finds `name` from the package at `path`: beside it, or in any folder above. */
function lockedFrom(packages, path, name) {
  for (let at = path; ; at = at.slice(0, Math.max(0, at.lastIndexOf("node_modules/") - 1))) {
    const found = at === "" ? `node_modules/${name}` : `${at}/node_modules/${name}`;
    if (found in packages) return true;
    if (at === "") return false;
  }
}

/** The entries that the lock lacks. */
export function missingEntries(lock) {
  const missing = {};
  for (const [path, entry] of Object.entries(lock.packages)) {
    for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
      const platform = platformOf(name);
      if (platform === undefined || lockedFrom(lock.packages, path, name)) continue;
      missing[`node_modules/${name}`] = {
        version,
        ...platform,
        ...(entry.dev ? { dev: true } : {}),
        optional: true,
      };
    }
  }
  return missing;
}

if (process.argv[1]?.endsWith("complete-lock.mjs")) {
  const path = join(root, "package-lock.json");
  const lock = JSON.parse(readFileSync(path, "utf8"));
  const missing = missingEntries(lock);
  const packages = Object.entries({ ...lock.packages, ...missing });
  packages.sort(([a], [b]) => (a < b ? -1 : 1));
  writeFileSync(
    path,
    `${JSON.stringify({ ...lock, packages: Object.fromEntries(packages) }, undefined, 2)}\n`,
  );
  console.log(`${Object.keys(missing).length} entries added`);
}
