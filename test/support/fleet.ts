import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished, vi } from "vitest";
import { Fleet, type FleetOptions } from "../../demo/fleet.ts";
import { openStage, type Stage } from "../../demo/stage.ts";
import { envoyPath, envoySkipped, natsServerPath } from "./parts.ts";

/** A fleet comes up in two seconds on a machine that has nothing else to do, and in many where two suites share two cores. */
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

/** A fresh folder with a short path, for sockets. */
function makeFolder(): string {
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
export async function stageOfTest(more: Pick<FleetOptions, "issuerYaml"> = {}): Promise<Stage> {
  const stage = await openStage({ ...fleetOptions(), ...more });
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
