import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { printCompactJson } from "../../src/core/envelope/compact-json.ts";
import { groupPageKey } from "../../src/core/envelope/object-keys.ts";
import type { Entry } from "../../src/core/policy/entry.ts";
import { entry } from "../core/envelope/support/samples.ts";
import { Followed, TestBus } from "../identity/support/followed.ts";
import { head, index, type Signed, v } from "../identity/support/signed-state.ts";

interface Page {
  readonly key: string;
  readonly sha256: string;
  readonly bytes: Uint8Array;
}

const entryOf = (id: string): Entry => ({ ...entry, id });

function page(...ids: readonly string[]): Page {
  const bytes = printCompactJson(ids.map(entryOf));
  const hash = createHash("sha256").update(bytes).digest();
  return { key: groupPageKey(hash), sha256: hash.toString("hex"), bytes };
}

async function indexOf(seq: number, pages: readonly Page[]): Promise<Signed> {
  return await index(v(1, seq), {
    pages: pages.map(({ key, sha256 }) => ({ key, sha256 })),
    entries: [entryOf("inline")],
  });
}

const idsOf = (world: Followed): readonly string[] | undefined =>
  world.told.at(-1)?.shared.map((one) => one.id);

const [a, b, c] = [page("a1", "a2"), page("b1"), page("c1")];

async function worldWith(...pages: readonly Page[]): Promise<Followed> {
  const world = new Followed();
  for (const { key, bytes } of pages) world.bus.objects.set(key, bytes);
  return await world.connected();
}

test("an index counts with all its pages", async () => {
  const world = await worldWith(a, b);
  await world.object(await indexOf(1, [a, b]));
  expect(idsOf(world)).toEqual(["inline", "a1", "a2", "b1"]);
});

test("an index one page of which is missing does not count at all, until it is there", async () => {
  const world = await worldWith(a, b);
  await world.object(await indexOf(1, [a, b]));
  await world.object(await indexOf(2, [b, c]));
  expect(idsOf(world)).toEqual(["inline", "a1", "a2", "b1"]);
  world.bus.objects.set(c.key, c.bytes);
  await world.clock.advance(500);
  expect(idsOf(world)).toEqual(["inline", "b1", "c1"]);
  // Only what was new was read: a page is named by its content.
  expect(world.bus.reads.filter((key) => key === b.key)).toHaveLength(1);
});

test("TM-B-01 a page with another hash than the index names is refused", async () => {
  const world = await worldWith(a);
  world.bus.objects.set(b.key, page("forged").bytes);
  await world.object(await indexOf(1, [a, b]));
  expect(idsOf(world)).toEqual([]);
  await world.clock.advance(2_000);
  expect(idsOf(world)).toEqual([]);
  world.bus.objects.set(b.key, b.bytes);
  await world.clock.advance(500);
  expect(idsOf(world)).toEqual(["inline", "a1", "a2", "b1"]);
});

test("a missing page is asked for twice a second, however many heads come meanwhile, and no more after the stop", async () => {
  const world = await worldWith();
  await world.object(await indexOf(1, [a]));
  for (let n = 1; n <= 20; n += 1) await world.head(await head(1, n));
  world.bus.reads.length = 0;
  await world.clock.advance(10_000);
  expect(world.bus.reads.length).toBeLessThanOrEqual(21);
  await world.follower.stop();
  await world.clock.advance(1_000);
  const { length } = world.bus.reads;
  await world.clock.advance(10_000);
  expect(world.bus.reads).toHaveLength(length);
});

test("a node that lacks a page is not synced: its entries are not known to be gone", async () => {
  const world = new Followed();
  world.bus.put(await indexOf(1, [a]));
  await world.connected();
  expect(world.told.at(-1)).toMatchObject({ shared: [], synced: false });
  expect(world.follower.synced).toBe(false);
  world.bus.objects.set(a.key, a.bytes);
  await world.clock.advance(500);
  expect(world.told.at(-1)?.synced).toBe(true);
  expect(idsOf(world)).toEqual(["inline", "a1", "a2"]);
});

test("invariant 4: pages are on the disk too, and serve without any network", async () => {
  const before = await worldWith(a, b);
  await before.object(await indexOf(1, [a, b]));
  const bus = new TestBus();
  bus.isAway = true;
  const after = new Followed({ store: before.store, bus });
  await after.follower.resume(await after.store.load());
  expect(idsOf(after)).toEqual(["inline", "a1", "a2", "b1"]);
  expect(bus.reads).toEqual([]);
});

test("pages that no index names any more leave the disk", async () => {
  const world = await worldWith(a, b);
  await world.object(await indexOf(1, [a]));
  await world.object(await indexOf(2, [b]));
  await world.head(await head(1, 1));
  const kept = world.store.kept.map((bytes) => Buffer.from(bytes).toString("utf8"));
  expect(kept).toContain(Buffer.from(b.bytes).toString("utf8"));
  expect(kept).not.toContain(Buffer.from(a.bytes).toString("utf8"));
});
