import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { describe, expect, onTestFinished, test } from "vitest";
import { eventually } from "../../demo/eventually.ts";
import "../support/fleet.ts";
import { envoyPath, envoySkipped, natsServerPath } from "../support/parts.ts";

function startDemo(env: NodeJS.ProcessEnv = {}) {
  const dir = mkdtempSync(join(tmpdir(), "hd-"));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  const child = spawn(process.execPath, ["demo/main.ts", "--dir", dir], {
    stdio: ["ignore", "pipe", "inherit"],
    env: {
      ...process.env,
      HERALD_ENVOY: envoyPath(),
      HERALD_NATS_SERVER: natsServerPath(),
      ...env,
    },
  });
  return { child, dir };
}

/** Command lines of running processes that name a folder. */
function processesOf(folder: string): readonly string[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const line = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
        return line.includes(folder) ? [line] : [];
      } catch {
        // It has ended meanwhile.
        return [];
      }
    });
}

describe.skipIf(envoySkipped())("the demo", () => {
  test("Ctrl-C ends it at once, with every process and file of its own", async () => {
    const { child, dir } = startDemo();
    for await (const line of createInterface({ input: child.stdout }))
      if (line.includes("mutual TLS")) break;
    child.stdout.resume();
    expect(processesOf(dir).length).toBeGreaterThanOrEqual(7);
    const ended = once(child, "exit");
    child.kill("SIGINT");
    child.kill("SIGINT");
    expect(await ended).toEqual([130, null]);
    expect(readdirSync(dir)).toEqual([]);
    await eventually("no process is left", () => processesOf(dir).length === 0);
  });

  test("a claim that does not hold is named, with where the logs are, and the exit code is 1", async () => {
    const { child, dir } = startDemo({ HERALD_ENVOY: "/bin/false" });
    const ended = once(child, "exit");
    const out = await text(child.stdout);
    expect(out).toMatch(/✗ up +Envoy \w+ ended \(exit code 1\)/);
    expect(out).toMatch(/The claim "up" does not hold\. .*\/log$/m);
    expect(await ended).toEqual([1, null]);
    const [folder = ""] = readdirSync(dir);
    expect(readdirSync(join(dir, folder, "log"))).toContain("issuer.log");
    await eventually("no process is left", () => processesOf(dir).length === 0);
  });
});
