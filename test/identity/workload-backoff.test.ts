import { expect, test } from "vitest";
import { EventsError } from "../../src/events/error.ts";
import { entryOf, hour, idsOf, Workloads } from "./support/workloads.ts";

const away = (): Promise<void> => Promise.reject(new EventsError("BUS_NO_ISSUER", "nobody there"));

test("an issuer that is away is asked again after half a second, up to half a minute, and what is cached is served on", async () => {
  const world = new Workloads();
  const watch = world.watch("web");
  await world.update([entryOf("web")]);
  world.requests.length = 0;
  world.beforeAnswer = away;
  await world.clock.advance(0.99 * hour);
  expect(idsOf(watch.current())).toEqual(["web"]);
  const times = world.requests.map(({ at }) => at);
  const gaps = times.slice(1).map((at, i) => at - (times[i] ?? 0));
  expect(gaps[0]).toBeLessThanOrEqual(500);
  for (const gap of gaps) expect(gap).toBeGreaterThanOrEqual(250);
  for (const gap of gaps.slice(8)) expect(gap).toBeGreaterThanOrEqual(15_000);
  expect(Math.max(...gaps)).toBeLessThanOrEqual(30_000);
  expect(world.metrics.counts.get("herald_node_sign_failures_total")).toBe(times.length);
  world.beforeAnswer = () => Promise.resolve();
  await world.clock.advance(30_000);
  expect(watch.current().svids[0]?.expiresAt).toBeGreaterThan(world.clock.now() + 0.9 * hour);
});

test("a head that says nothing new ends no wait: or a whole fleet would ask at once", async () => {
  const world = new Workloads();
  world.beforeAnswer = away;
  await world.update([entryOf("web")]);
  await world.clock.advance(120_000);
  world.requests.length = 0;
  for (let i = 0; i < 20; i += 1) {
    await world.update([entryOf("web")]);
    await world.clock.advance(100);
  }
  expect(world.requests.length).toBeLessThanOrEqual(1);
});

test("a new entry ends the wait: it is wanted now", async () => {
  const world = new Workloads();
  world.beforeAnswer = away;
  await world.update([entryOf("web")]);
  await world.clock.advance(120_000);
  world.beforeAnswer = () => Promise.resolve();
  await world.update([entryOf("web"), entryOf("db")]);
  expect(world.identities.status().svids).toBe(2);
});

test("sixty entries that are refused keep back none of the others", async () => {
  const world = new Workloads();
  const bad = Array.from({ length: 60 }, (_, i) => entryOf(`bad-${i}`));
  const good = Array.from({ length: 60 }, (_, i) => entryOf(`good-${i}`));
  world.answer = (item) =>
    item.entry.startsWith("bad") ? world.refused(item) : world.issued(item);
  await world.update([...bad, ...good]);
  expect(world.identities.status()).toMatchObject({ entries: 120, svids: 60 });
  // They are asked for together, half a minute apart in the end.
  await world.clock.advance(300_000);
  world.requests.length = 0;
  await world.clock.advance(300_000);
  expect(world.requests.length).toBeLessThanOrEqual(2 * 20);
  expect(world.requests.length).toBeGreaterThanOrEqual(2 * 10);
  // Nor do they keep back a renewal.
  await world.clock.advance(0.62 * hour - 600_000);
  const { svids, nextExpiry } = world.identities.status();
  expect(svids).toBe(60);
  expect(nextExpiry).toBeGreaterThan(world.clock.now() + 0.3 * hour);
});

test("an entry that is refused is asked for less and less often, and at once when it changes", async () => {
  const world = new Workloads();
  world.answer = (item) => world.refused(item);
  await world.update([entryOf("web")]);
  await world.clock.advance(hour);
  // 3,600 s at 15 to 30 s each, and a few more in the beginning.
  expect(world.requests.length).toBeGreaterThan(100);
  expect(world.requests.length).toBeLessThan(260);
  world.answer = (item) => world.issued(item);
  await world.update([entryOf("web", { revision: 2n })]);
  expect(world.identities.status().svids).toBe(1);
});

test("a refusal that another bundle may cure is tried again with that", async () => {
  const world = new Workloads();
  await world.update([entryOf("web")], { bundle: undefined });
  expect(world.identities.status().svids).toBe(0);
  await world.update([entryOf("web")]);
  expect(world.identities.status().svids).toBe(1);
  expect(world.requests).toHaveLength(2);
});
