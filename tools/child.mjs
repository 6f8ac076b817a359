// Running npm and pip: what they said is kept, and shown only when it explains a failure.

import { spawn } from "node:child_process";
import { root } from "./parts.mjs";

/** One line to the person who waits. */
export const say = (text) => process.stderr.write(`herald setup: ${text}\n`);

const children = new Set();
for (const [signal, code] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
  ["SIGHUP", 129],
]) {
  process.on(signal, () => {
    for (const child of children) child.kill(signal);
    say("interrupted; the next run starts over.");
    process.exit(code);
  });
}

/** Runs a command, keeps what it said, and never throws: `code` is null when it could not be started. */
export function run(command, args, options = {}) {
  return new Promise((done) => {
    let output = "";
    const child = spawn(command, args, {
      cwd: root,
      ...options,
      stdio: ["ignore", "pipe", "pipe"],
    });
    children.add(child);
    child.on("exit", () => children.delete(child));
    child.stdout.on("data", (bytes) => (output += bytes));
    child.stderr.on("data", (bytes) => (output += bytes));
    child.on("error", (error) => done({ code: null, output: error.message }));
    child.on("close", (code) => done({ code, output }));
  });
}

/** The end of what a tool said, set off from our own words. */
export const lastLines = (text) =>
  text
    .trimEnd()
    .split("\n")
    .slice(-12)
    .map((line) => `| ${line}`)
    .join("\n");

/** Do these words of npm or pip mean that the network or the registry is not there? */
export const looksOffline = (output) =>
  /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|name resolution|Failed to establish|Network is unreachable|timed out/i.test(
    output,
  );
