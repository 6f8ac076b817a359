import { expect, onTestFinished } from "vitest";
import { eventually } from "../../demo/eventually.ts";
import type { Fleet } from "../../demo/fleet.ts";
import { Load } from "../../demo/load.ts";
import { readLog } from "../../demo/logs.ts";
import type { Stage } from "../../demo/stage.ts";
import { servingAuthority } from "../../demo/strangers.ts";

const perSecond = 200;

/** Calls of web to api without a pause; the authority is replaced by `replace` meanwhile. Resolves when no live SVID is left on the old one, and none failed. */
export async function replaceUnderLoad(stage: Stage, replace: () => Promise<void>): Promise<void> {
  const { fleet, web, api } = stage;
  const load = Load.start({ port: web.port, perSecond });
  onTestFinished(() => load.stop());
  await eventually("the load is under way", () => load.count() >= perSecond);
  const before = await servingAuthority(api.port);
  const done = await rotationsDone(fleet);
  await replace();
  await eventually(
    "no live SVID is left on the old authority",
    async () => (await rotationsDone(fleet)) > done,
  );
  expect(await servingAuthority(api.port)).not.toBe(before);
  // On for a while on the new certificates, with connections that are made on them.
  const counted = load.count();
  await eventually("traffic goes on", () => load.count() >= counted + 2 * perSecond);
  expect(load.failures()).toEqual([]);
}

/** How many rotations the issuer has carried out so far. */
async function rotationsDone(fleet: Fleet): Promise<number> {
  const lines = await readLog(fleet.logOf("issuer"));
  return lines.filter(({ msg }) => msg.startsWith("rotation done")).length;
}
