import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  compareVersions,
  envoySkipped,
  findPart,
  MissingPart,
  partPath,
  parts,
  wheelFolder,
} from "../../tools/parts.mjs";
import { versionScripts, writeScript } from "./checkout.ts";

describe("where a part is found", () => {
  let at: string;
  let bin: string;
  const part = parts.envoy;

  beforeEach(() => {
    at = mkdtempSync(join(tmpdir(), "herald-parts-"));
    bin = join(at, "bin");
    mkdirSync(bin);
  });
  afterEach(() => {
    rmSync(at, { recursive: true, force: true });
  });

  const putOnPath = (version: string): string => {
    writeScript(join(bin, "envoy"), versionScripts.envoy(version));
    return join(bin, "envoy");
  };
  const putWheel = (): string => {
    const path = join(wheelFolder(part, at), part.wheel);
    writeScript(path, versionScripts.envoy("1.40.0"));
    return path;
  };

  test("the variable comes before PATH and the wheel", () => {
    putOnPath("1.40.0");
    putWheel();
    const named = join(at, "mine");
    writeScript(named, "exit 1");
    const env = { PATH: bin, HERALD_ENVOY: named };
    expect(findPart(part, { env, at })).toEqual({ path: named, from: "variable" });
  });

  test("PATH comes before the wheel", () => {
    putWheel();
    const path = putOnPath("1.41.2");
    expect(findPart(part, { env: { PATH: bin }, at })).toEqual({ path, from: "path" });
  });

  test("the wheel is used when PATH has none", () => {
    const path = putWheel();
    expect(findPart(part, { env: { PATH: bin }, at })).toEqual({ path, from: "wheel" });
  });

  test("an older one on PATH is passed over, and named", () => {
    putOnPath("1.22.0");
    const path = putWheel();
    const found = findPart(part, { env: { PATH: bin }, at });
    expect(found).toMatchObject({ path, from: "wheel" });
    expect(found.note).toContain(join(bin, "envoy"));
    expect(found.note).toContain("1.22.0");
  });

  test("one on PATH that can't say its version is passed over, and named", () => {
    writeScript(join(bin, "envoy"), "exit 127");
    expect(findPart(part, { env: { PATH: bin }, at }).note).toContain("does not say its version");
  });

  test("a relative entry of PATH is not searched", () => {
    putOnPath("1.40.0");
    expect(findPart(part, { env: { PATH: "bin:.:" }, at })).toEqual({});
  });

  test("a variable that points at nothing is an error, though PATH has one", () => {
    putOnPath("1.40.0");
    const env = { PATH: bin, HERALD_ENVOY: join(at, "nowhere") };
    expect(() => findPart(part, { env, at })).toThrow(MissingPart);
    expect(() => findPart(part, { env, at })).toThrow(/HERALD_ENVOY=.*nowhere/);
  });

  test("what is nowhere is named with the cures", () => {
    const missing = (): string => partPath(part, { env: { PATH: bin }, at });
    for (const cure of ["npm run setup", "PATH", "HERALD_ENVOY", "HERALD_SKIP_ENVOY=1"]) {
      expect(missing).toThrow(cure);
    }
  });
});

test.for([
  ["1.40.0", "1.40.0", 0],
  ["1.9.0", "1.40.0", -1],
  ["2.0.0", "1.40.9", 1],
] as const)("%s against %s: %i", ([a, b, order]) => {
  expect(compareVersions(a, b)).toBe(order);
});

test.for([
  ["1", true],
  ["0", false],
  ["", false],
  [undefined, false],
] as const)("HERALD_SKIP_ENVOY=%s skips: %s", ([value, skips]) => {
  expect(envoySkipped({ HERALD_SKIP_ENVOY: value })).toBe(skips);
});
