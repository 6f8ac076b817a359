import { spawn } from "node:child_process";
import { once } from "node:events";
import { expect, test } from "vitest";

const start = (script: string, env: Readonly<Record<string, string>> = {}) =>
  spawn(process.execPath, ["tools/run.mjs", "node", "-e", script], {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "inherit"],
  });

test("the tool runs by the pinned Node, with the parts named in its environment", async () => {
  const child = start("console.log(process.version, process.env.HERALD_NATS_SERVER)");
  let output = "";
  child.stdout.on("data", (bytes: Buffer) => (output += bytes.toString()));
  expect(await once(child, "close")).toEqual([0, null]);
  expect(output).toMatch(/^v26\.10\.0 \/.*nats-server\n$/);
});

test("the exit code of the tool is the exit code", async () => {
  expect(await once(start("process.exit(3)"), "close")).toEqual([3, null]);
});

test.for([
  ["SIGTERM", 143],
  ["SIGINT", 130],
] as const)("%s reaches the tool, and its death is told", async ([signal, code]) => {
  const child = start("setInterval(() => {}, 1000); console.log('up')");
  await once(child.stdout, "data");
  child.kill(signal);
  expect(await once(child, "close")).toEqual([code, null]);
});

test("a tool that handles a signal ends in its own way", async () => {
  const child = start(
    "setInterval(() => {}, 1000); process.on('SIGTERM', () => process.exit(0)); console.log('up')",
  );
  await once(child.stdout, "data");
  child.kill("SIGTERM");
  expect(await once(child, "close")).toEqual([0, null]);
});
