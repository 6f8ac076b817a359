import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { onTestFinished } from "vitest";
import { Fleet, type FleetOptions, heraldMain } from "../../demo/fleet.ts";
import { openStage, type Stage } from "../../demo/stage.ts";
import { envoyPath, envoySkipped, natsServerPath } from "./parts.ts";

/** What a program that ran to its end said and did. */
export interface Ran {
  /** Null when a signal ended it. */
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** A fresh folder with a short path, for sockets. */
export function makeFolder(): string {
  return mkdtempSync(join(tmpdir(), "he-"));
}

/** The real parts, and everything else below a fresh folder. */
export function fleetOptions(): FleetOptions {
  const envoy = envoySkipped() ? "" : envoyPath();
  return { folder: makeFolder(), envoy, natsServer: natsServerPath() };
}

/** Ends every process of a fleet and removes its folder. */
export async function closeFleet(fleet: Fleet): Promise<void> {
  await fleet.close();
  rmSync(fleet.folder, { recursive: true, force: true });
}

/** A fleet for the running test alone: only keys and configurations at first. Its logs are shown when the test fails. */
export async function fleetOfTest(): Promise<Fleet> {
  const fleet = await Fleet.create(fleetOptions());
  closeWithTest(fleet);
  return fleet;
}

/** The demo's stage, both Envoys with their identities, for the running test alone. */
export async function stageOfTest(): Promise<Stage> {
  const stage = await openStage(fleetOptions());
  closeWithTest(stage.fleet);
  return stage;
}

function closeWithTest(fleet: Fleet): void {
  onTestFinished(async ({ task }) => {
    if (task.result?.state === "fail") showLogs(fleet);
    await closeFleet(fleet);
  });
}

/** The end of each log: what a failure is explained by, and what is gone when the folder is. */
function showLogs(fleet: Fleet): void {
  const folder = join(fleet.folder, "log");
  for (const name of readdirSync(folder)) {
    const lines = readFileSync(join(folder, name), "utf8").trimEnd().split("\n").slice(-25);
    process.stderr.write(`--- ${name}\n${lines.map((line) => line.slice(0, 500)).join("\n")}\n`);
  }
}

/** Runs `herald` in a process of its own until it ends; after `withinMs` it is told to. */
export async function runHerald(
  args: readonly string[],
  {
    env = {},
    withinMs = 20_000,
  }: { readonly env?: NodeJS.ProcessEnv; readonly withinMs?: number } = {},
): Promise<Ran> {
  const child = spawn(process.execPath, [heraldMain, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...env },
  });
  const timer = setTimeout(() => child.kill("SIGKILL"), withinMs);
  const [out, err, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, "exit") as Promise<[number | null]>,
  ]);
  clearTimeout(timer);
  return { code, out, err };
}
