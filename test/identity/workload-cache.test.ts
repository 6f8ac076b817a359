import { describe, expect, test } from "vitest";
import type { CachedSvid } from "../../src/identity/ports.ts";
import { makeAuthority, makeBundle, noon } from "../support/ca-world.ts";
import { HeldClock } from "../support/held-clock.ts";
import { entryOf, hour, idsOf, Workloads } from "./support/workloads.ts";

/** A daemon that had SVIDs for these, and what it left on its disk. */
async function before(...ids: readonly string[]): Promise<Workloads> {
  const world = new Workloads();
  await world.update(ids.map((id) => entryOf(id)));
  world.identities.stop();
  return world;
}

async function restarted(
  old: Workloads,
  bend: (svid: CachedSvid) => CachedSvid = (svid) => svid,
): Promise<Workloads> {
  const clock = new HeldClock(old.clock.now());
  const kept = [...old.cache.kept.values()].map(bend);
  const world = new Workloads({ authority: old.authority, clock, kept });
  await world.identities.resume();
  return world;
}

describe("invariant 4: a restarted daemon", () => {
  test("serves from its cache before it reaches anybody, and asks for nothing it has", async () => {
    const world = await restarted(await before("web", "db"));
    const watch = world.watch("web", "db");
    await world.update([entryOf("web"), entryOf("db")], { synced: false });
    expect(idsOf(watch.current())).toEqual(["db", "web"]);
    expect(watch.current().synced).toBe(false);
    await world.update([entryOf("web"), entryOf("db")]);
    expect(watch.current().synced).toBe(true);
    expect(world.requests).toEqual([]);
  });

  test("tells the entry's hint with a cached SVID, and a hint that changes", async () => {
    const world = await restarted(await before("web"));
    const watch = world.watch("web");
    await world.update([entryOf("web", { hint: "internal" })]);
    expect(watch.current().svids[0]?.hint).toBe("internal");
  });

  test("serves none that has expired meanwhile, and says nothing of it", async () => {
    const old = await before("web");
    await old.clock.advance(2 * hour);
    const world = await restarted(old);
    world.answer = (item) => world.refused(item);
    const watch = world.watch("web");
    await world.update([entryOf("web")]);
    await world.clock.advance(1_000);
    expect(watch.current().svids).toEqual([]);
    expect(world.log.alarms).toEqual([]);
    expect(world.requests).toHaveLength(1);
  });

  test.for<readonly [string, (svid: CachedSvid) => CachedSvid]>([
    ["whose key is another's", (svid) => ({ ...svid, privateKey: Buffer.from("junk") })],
    [
      "whose ID is not its certificate's",
      (svid) => ({ ...svid, spiffeId: entryOf("admin").spiffeId }),
    ],
    ["whose certificate is damaged", (svid) => ({ ...svid, chain: [Buffer.from("junk")] })],
    ["without a certificate", (svid) => ({ ...svid, chain: [] })],
  ])("SDS-05 serves none %s, and asks for a new one", async ([, bend]) => {
    const world = await restarted(await before("web"), bend);
    const watch = world.watch("web");
    world.beforeAnswer = () => new Promise(() => {});
    await world.update([entryOf("web")]);
    expect(watch.current().svids).toEqual([]);
    expect(world.requests.flatMap(({ entries }) => entries)).toEqual(["web"]);
  });

  test("TM-I-03 serves none of an authority that was taken out of the bundle meanwhile", async () => {
    const world = await restarted(await before("web"));
    const watch = world.watch("web");
    const bundle = makeBundle("example.org", [makeAuthority()]);
    world.answer = (item) => world.refused(item);
    await world.update([entryOf("web")], { bundle });
    expect(watch.current().svids).toEqual([]);
    expect(world.log.alarms).toEqual(["bad-svid"]);
  });
});

describe("entries that are gone", () => {
  test("are let go when the state was read, and leave the disk", async () => {
    const world = new Workloads();
    const watch = world.watch("web", "db");
    await world.update([entryOf("web"), entryOf("db")]);
    world.trace.length = 0;
    await world.update([entryOf("web")]);
    expect(idsOf(watch.current())).toEqual(["web"]);
    expect(world.trace).toEqual(["told web", "changed", "removed db"]);
    expect([...world.cache.kept.keys()]).toEqual(["web"]);
    expect(world.uses().map(({ svids }) => svids)).toEqual([1]);
  });

  test("are kept until it was read: they may only be ones not heard of yet", async () => {
    const world = await restarted(await before("web", "db"));
    const watch = world.watch("web", "db");
    await world.update([entryOf("web")], { synced: false });
    await world.clock.advance(60_000);
    expect(world.cache.kept.size).toBe(2);
    await world.update([entryOf("web"), entryOf("db")]);
    expect(idsOf(watch.current())).toEqual(["db", "web"]);
    expect(world.requests).toEqual([]);
  });

  test("one that goes while its SVID is on its way is not kept", async () => {
    const world = new Workloads();
    const gate = Promise.withResolvers<void>();
    world.beforeAnswer = () => gate.promise;
    await world.update([entryOf("web")]);
    await world.update([]);
    gate.resolve();
    await world.clock.advance(0);
    expect(world.cache.kept.size).toBe(0);
    expect(world.identities.status()).toMatchObject({ entries: 0, svids: 0 });
  });
});

describe("watchers", () => {
  test("TM-N-01 see what their selectors entitle them to, the default first", async () => {
    const world = new Workloads();
    await world.update([
      entryOf("web"),
      entryOf("web-b", { selectors: entryOf("web").selectors, priority: 5 }),
      entryOf("both", { selectors: [...entryOf("web").selectors, ...entryOf("db").selectors] }),
      entryOf("db"),
    ]);
    expect(idsOf(world.watch("web").current())).toEqual(["web-b", "web"]);
    expect(idsOf(world.watch("web", "db").current())).toEqual(["web-b", "both", "db", "web"]);
    expect(idsOf(world.watch("nobody").current())).toEqual([]);
    expect(idsOf(world.watch().current())).toEqual([]);
  });

  test("are told only of what changes for them", async () => {
    const world = new Workloads();
    await world.update([entryOf("web"), entryOf("db")]);
    world.watch("web");
    world.trace.length = 0;
    for (let i = 0; i < 3; i += 1) await world.update([entryOf("web"), entryOf("db")]);
    await world.update([entryOf("web"), entryOf("db", { revision: 2n })]);
    await world.update([entryOf("web")]);
    expect(world.trace.filter((one) => one.startsWith("told"))).toEqual([]);
    await world.update([entryOf("web")], {
      bundle: makeBundle("example.org", [world.authority], 2n),
    });
    expect(world.trace.filter((one) => one.startsWith("told"))).toEqual(["told web"]);
  });

  test("are told nothing once they are closed, or the daemon stops", async () => {
    const world = new Workloads();
    const [closed, open] = [world.watch("web"), world.watch("web")];
    closed.close();
    closed.close();
    const gate = Promise.withResolvers<void>();
    world.beforeAnswer = () => gate.promise;
    await world.update([entryOf("web")]);
    expect(world.trace).toEqual(["told"]);
    world.identities.stop();
    gate.resolve();
    await world.clock.advance(10 * hour);
    expect(world.trace.filter((one) => one.startsWith("told"))).toEqual(["told"]);
    expect(world.requests).toHaveLength(1);
    expect(open.current().svids).toEqual([]);
  });

  test("nothing is told as synced before it was read, nor while one of the caller's is missing", async () => {
    const world = new Workloads();
    const watch = world.watch("web", "db");
    expect(watch.current().synced).toBe(false);
    world.answer = (item) => (item.entry === "db" ? world.refused(item) : world.issued(item));
    await world.update([entryOf("web"), entryOf("db")]);
    expect(watch.current().synced).toBe(false);
    await world.update([entryOf("web")]);
    expect(watch.current().synced).toBe(true);
    expect(noon).toBe(world.clock.now());
  });
});
