import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { type Lock, missingEntries, platformOf } from "../../tools/complete-lock.mjs";

const lockOf = (path: string): Lock => JSON.parse(readFileSync(path, "utf8")) as Lock;

describe.each(["package-lock.json", "tools/pinned-node/package-lock.json"])("%s", (path) => {
  const lock = lockOf(path);

  // npm refuses a lock that lacks a platform's package, on every platform.
  test("has an entry for every platform's package (mend: node tools/complete-lock.mjs)", () => {
    expect(missingEntries(lock)).toEqual({});
  });

  test("pins by hash everything that installs on Linux", () => {
    const unpinned = Object.entries(lock.packages).filter(([at, entry]) => {
      const os = [entry.os ?? "linux"].flat();
      const cpu = [entry.cpu ?? "x64"].flat();
      const here = os.includes("linux") && (cpu.includes("x64") || cpu.includes("arm64"));
      const musl = at.endsWith("-musl");
      return at !== "" && here && !musl && entry.link !== true && entry.integrity === undefined;
    });
    expect(unpinned.map(([at]) => at)).toEqual([]);
  });
});

test("the pinned Node is one version, in both places", () => {
  const { devDependencies } = JSON.parse(readFileSync("package.json", "utf8")) as {
    devDependencies: Record<string, string>;
  };
  const { optionalDependencies } = JSON.parse(
    readFileSync("tools/pinned-node/package.json", "utf8"),
  ) as { optionalDependencies: Record<string, string> };
  expect(new Set(Object.values(optionalDependencies))).toEqual(new Set([devDependencies["node"]]));
});

test.for([
  ["@biomejs/cli-darwin-arm64", { cpu: ["arm64"], os: ["darwin"] }],
  ["@x/binding-linux-x64-musl", { cpu: ["x64"], libc: ["musl"], os: ["linux"] }],
  ["@x/binding-wasm32-wasi", { cpu: ["wasm32"] }],
  ["fsevents", undefined],
] as const)("%s runs on %j", ([name, platform]) => {
  expect(platformOf(name)).toEqual(platform);
});
