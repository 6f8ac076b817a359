import { expect, test } from "vitest";
import { now } from "../core/envelope/support/keys.ts";
import { Followed } from "../identity/support/followed.ts";
import { head, index, keys, v } from "../identity/support/signed-state.ts";

const at = (ms: number) => ({ at: now + ms, expires: now + ms + 45_000 });

test("TM-B-04 no head for three intervals is alarmed once, and one head ends it", async () => {
  const world = await new Followed().connected();
  await world.head(await head(1, 1, at(0)));
  await world.clock.advance(44_999);
  expect(world.follower.stale).toBe(false);
  await world.clock.advance(1);
  expect(world.follower.stale).toBe(true);
  expect(world.metrics.counts.get("herald_node_stale")).toBe(1);
  await world.clock.advance(600_000);
  expect(world.log.alarms).toEqual(["silence"]);
  await world.head(await head(1, 2, at(645_000)));
  expect(world.follower.stale).toBe(false);
  expect(world.metrics.counts.get("herald_node_stale")).toBe(0);
});

test("TM-B-04 a node that never heard a head is alarmed within a minute", async () => {
  const world = await new Followed().connected();
  await world.clock.advance(59_999);
  expect(world.follower.stale).toBe(false);
  await world.clock.advance(1);
  expect(world.follower.stale).toBe(true);
});

test("TM-B-04 heads that come in time keep it quiet", async () => {
  const world = await new Followed().connected();
  for (let n = 1; n <= 20; n += 1) {
    await world.head(await head(1, n, at((n - 1) * 15_000)));
    await world.clock.advance(15_000);
  }
  expect(world.log.alarms).toEqual([]);
});

test("TM-B-04 a repeated, an older or a forged head is no sign of life", async () => {
  const world = await new Followed().connected();
  const [old, good] = [await head(1, 1, at(0)), await head(1, 2, at(0))];
  await world.head(good);
  await world.clock.advance(40_000);
  for (const bytes of [good, old, Buffer.from("{}")]) await world.head(bytes);
  await world.clock.advance(5_000);
  expect(world.follower.stale).toBe(true);
});

test("TM-B-04 a broker that holds every head back until it has expired is found out, and its heads still count", async () => {
  const world = await new Followed().connected();
  for (let n = 1; n <= 10; n += 1) {
    await world.head(await head(1, n, at((n - 1) * 15_000 - 50_000)));
    await world.clock.advance(15_000);
  }
  expect(world.follower.stale).toBe(true);
  expect(world.view.highest?.n).toBe(10n);
});

test("TM-B-04 what is cached is served on in silence", async () => {
  const world = await new Followed().connected();
  await world.object(await index(v(1, 1)));
  await world.clock.advance(3_600_000);
  expect(world.follower.stale).toBe(true);
  expect(world.view.versions()).toEqual({ [keys.index]: v(1, 1) });
  // And a stopped one raises no alarm.
  const stopped = await new Followed().connected();
  await stopped.follower.stop();
  await stopped.clock.advance(3_600_000);
  expect(stopped.log.alarms).toEqual([]);
});
