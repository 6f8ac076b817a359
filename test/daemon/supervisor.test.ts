import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { logged, Program, SupervisorError } from "../../src/daemon/supervisor.ts";

let dir = "";
const programs: Program[] = [];
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "herald-supervisor-"));
});
afterEach(async () => {
  for (const program of programs.splice(0)) await program.stop("SIGKILL");
  await rm(dir, { recursive: true });
});

/** A script of its own process that serves when it prints `ready`. */
function program(script: string, restart = false): Program {
  const made = new Program({
    name: "child",
    command: process.execPath,
    args: ["-e", script],
    logFile: join(dir, "logs", "child.log"),
    isReady: (line) => line.startsWith("ready"),
    restart,
  });
  programs.push(made);
  return made;
}

const serving = "console.log('starting'); console.log('ready 1'); setInterval(() => {}, 1000);";

/** Serves the first time it is started, then ends at once `times` times, then serves again: the file counts. */
function flaky(times: number): string {
  const file = JSON.stringify(join(dir, "count"));
  return `
    const fs = require("node:fs");
    const n = fs.existsSync(${file}) ? Number(fs.readFileSync(${file}, "utf8")) : 0;
    fs.writeFileSync(${file}, String(n + 1));
    if (n > 0 && n <= ${times}) process.exit(1);
    console.log("ready", n);
    setInterval(() => {}, 1000);`;
}

const startsSoFar = (): number =>
  existsSync(join(dir, "count")) ? Number(readFileSync(join(dir, "count"), "utf8")) : 0;

describe("a program", () => {
  test("has started when it says so; its output is in its log; it ends when it is told", async () => {
    const child = program(serving);
    expect(child.pid).toBeUndefined();
    expect(await child.start()).toBe("ready 1");
    expect(child.pid).toBeGreaterThan(0);
    await child.stop();
    await vi.waitFor(() => expect(child.pid).toBeUndefined());
    expect(readFileSync(join(dir, "logs", "child.log"), "utf8")).toContain("starting\nready 1\n");
    await child.stop();
  });

  test("that ends before it serves is an error with its last words", async () => {
    const failing = program("console.error('no such port'); process.exit(3);").start();
    await expect(failing).rejects.toBeInstanceOf(SupervisorError);
    await expect(failing).rejects.toMatchObject({
      code: "CHILD_FAILED",
      message: expect.stringMatching(/exit code 3.*no such port/) as string,
    });
  });

  test("that does not exist is an error", async () => {
    const made = new Program({
      name: "nothing",
      command: join(dir, "nothing"),
      args: [],
      logFile: join(dir, "nothing.log"),
      isReady: () => true,
      restart: true,
    });
    await expect(made.start()).rejects.toMatchObject({ code: "CHILD_FAILED" });
  });

  test("that ends by itself stays down unless it is to be restarted", async () => {
    const child = program(flaky(0));
    await child.start();
    child.signal("SIGKILL");
    await vi.waitFor(() => expect(child.pid).toBeUndefined());
    expect(startsSoFar()).toBe(1);
    expect(await child.start()).toBe("ready 1");
  });
});

describe("a program that is to be restarted", () => {
  test("is, also when it takes several tries", async () => {
    const child = program(flaky(2), true);
    await child.start();
    const first = child.pid;
    child.signal("SIGKILL");
    await vi.waitFor(() => expect(startsSoFar()).toBe(4), { timeout: 20_000 });
    await vi.waitFor(() => expect(child.pid).not.toBe(first));
  });

  test("is not started again once it is stopped, not even in the middle of a restart", async () => {
    const file = JSON.stringify(join(dir, "count"));
    // Serves once; the second time it never says that it does.
    const child = program(
      `const fs = require("node:fs");
       const n = fs.existsSync(${file}) ? Number(fs.readFileSync(${file}, "utf8")) : 0;
       fs.writeFileSync(${file}, String(n + 1));
       if (n === 0) console.log("ready");
       setInterval(() => {}, 1000);`,
      true,
    );
    await child.start();
    child.signal("SIGKILL");
    await vi.waitFor(() => expect(startsSoFar()).toBe(2), { timeout: 20_000 });
    await child.stop();
    await vi.waitFor(() => expect(child.pid).toBeUndefined());
    // A restart would follow within its first backoff; another program's start takes longer.
    const other = program(serving);
    await other.start();
    await other.stop();
    expect([child.pid, startsSoFar()]).toEqual([undefined, 2]);
  });
});

test.for([
  ['{"msg":"ready","url":"http://x"}', "url", "http://x"],
  ['{"msg":"ready"}', "url", undefined],
  ["{broken", "url", undefined],
  ["plain text", "url", undefined],
] as const)("a member of the line %s: %s is %s", ([line, member, expected]) => {
  expect(logged(line, member)).toBe(expected);
});
