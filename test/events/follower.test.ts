import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { now } from "../core/envelope/support/keys.ts";
import { Followed, TestBus, TestStore } from "../identity/support/followed.ts";
import {
  bundle,
  epoch,
  head,
  index,
  keys,
  manifest,
  revocations,
  type Signed,
  v,
} from "../identity/support/signed-state.ts";

const everything = async (): Promise<readonly Signed[]> => [
  await epoch(v(0, 1)),
  await revocations(v(1, 1)),
  await bundle(v(1, 2), { revocations: v(1, 1) }),
  await index(v(1, 3)),
  await manifest(v(1, 4)),
];

describe("ND-20 catch-up", () => {
  test("reads every object once the subscription stands, and is synced when all are answered for", async () => {
    const world = new Followed();
    const objects = await everything();
    world.bus.put(...objects);
    await world.follower.start();
    expect(world.bus.reads).toEqual([]);
    world.bus.listener?.onConnected();
    expect(world.follower.synced).toBe(false);
    await world.clock.advance(0);
    expect(world.bus.reads).toEqual([
      keys.control,
      keys.revocations,
      keys.bundle,
      keys.index,
      keys.manifest,
    ]);
    expect(world.follower.synced).toBe(true);
    expect(world.told.at(-1)).toMatchObject({ shared: [], synced: true });
    for (const { key, ref } of objects) expect(world.view.versions()[key]).toEqual(ref.version);
  });

  test("a fresh trust domain, with nothing stored yet, is synced too", async () => {
    const world = await new Followed().connected();
    expect(world.told.at(-1)?.synced).toBe(true);
  });

  test("after each reconnect everything is read again", async () => {
    const world = await new Followed().connected();
    world.bus.listener?.onDisconnected();
    world.bus.put(...(await everything()));
    world.bus.listener?.onConnected();
    await world.clock.advance(0);
    expect(Object.keys(world.view.versions()).toSorted()).toEqual([...world.view.keys].toSorted());
  });

  test("is not synced before a read that a head had begun is over", async () => {
    const world = new Followed();
    const objects = await everything();
    world.bus.put(...objects);
    const gate = Promise.withResolvers<void>();
    world.bus.beforeRead = (key) => (key === keys.index ? gate.promise : Promise.resolve());
    await world.follower.start();
    await world.head(await head(1, 1, { of: objects.filter(({ key }) => key === keys.index) }));
    world.bus.listener?.onConnected();
    await world.clock.advance(0);
    expect(world.follower.synced).toBe(false);
    expect(world.told.some((state) => state.synced)).toBe(false);
    gate.resolve();
    await world.clock.advance(0);
    expect(world.follower.synced).toBe(true);
    expect(world.bus.reads.filter((key) => key === keys.index)).toHaveLength(1);
  });

  test("a network that is away is tried again until it is there", async () => {
    const world = new Followed();
    world.bus.put(...(await everything()));
    world.bus.isAway = true;
    await world.connected();
    await world.clock.advance(20_000);
    expect(world.follower.synced).toBe(false);
    world.bus.isAway = false;
    await world.clock.advance(5_000);
    expect(world.follower.synced).toBe(true);
    // Backed off to 5 s, not hammered: five keys for 20 s.
    expect(world.bus.reads.length).toBeLessThan(5 * 20);
  });
});

describe("asking an issuer after a reconnect", () => {
  test("finds a single object that the broker withholds, though no head names it", async () => {
    const world = new Followed();
    const withheld = await manifest(v(1, 9));
    const newest = await head(1, 7);
    world.askIssuer = () => Promise.resolve([newest, withheld.bytes]);
    await world.connected();
    expect(world.asked).toBe(1);
    expect(world.view.versions()[keys.manifest]).toEqual(v(1, 9));
    expect(world.view.highest?.n).toBe(7n);
    world.bus.listener?.onConnected();
    await world.clock.advance(0);
    expect(world.asked).toBe(2);
  });

  test.for<readonly [string, () => Promise<readonly Uint8Array[]>]>([
    ["nobody answers", () => Promise.reject(new RangeError("nobody there"))],
    ["the answer holds junk", () => Promise.resolve([Buffer.from("junk"), Buffer.from("{}")])],
  ])("changes nothing when %s", async ([, askIssuer]) => {
    const world = new Followed();
    world.bus.put(...(await everything()));
    world.askIssuer = askIssuer;
    await world.connected();
    expect(world.follower.synced).toBe(true);
    expect(Object.keys(world.view.versions())).toHaveLength(5);
  });
});

describe("fetching what a head names", () => {
  test("one read when the store has it", async () => {
    const world = await new Followed().connected();
    const wanted = await index(v(1, 9));
    world.bus.put(wanted);
    world.bus.reads.length = 0;
    await world.head(await head(1, 1, { of: [wanted] }));
    expect(world.view.versions()[keys.index]).toEqual(v(1, 9));
    expect(world.bus.reads).toEqual([keys.index]);
  });

  test("TM-B-03 a store that goes on giving the old one makes the node ask an issuer", async () => {
    const world = await new Followed().connected();
    const wanted = await index(v(1, 9));
    world.bus.put(await index(v(1, 8)));
    world.askIssuer = () => Promise.reject(new RangeError("nobody there"));
    world.asked = 0;
    await world.head(await head(1, 1, { of: [wanted] }));
    await world.clock.advance(1_000);
    expect(world.asked).toBe(0);
    await world.clock.advance(20_000);
    expect(world.asked).toBeGreaterThan(0);
    expect(world.metrics.counts.get("herald_node_bus_alarms_total rollback")).toBeGreaterThan(4);
    world.askIssuer = () => Promise.resolve([wanted.bytes]);
    await world.clock.advance(5_000);
    expect(world.view.versions()[keys.index]).toEqual(v(1, 9));
    const { length } = world.bus.reads;
    await world.clock.advance(10_000);
    expect(world.bus.reads).toHaveLength(length);
  });

  test("of a new epoch, though its term and seq are lower", async () => {
    const world = await new Followed().connected();
    await world.object(await index(v(9, 9)));
    const wanted = await index(v(1, 1, 2));
    await world.head(await head(1, 1, { epoch: 2n, of: [wanted] }));
    world.bus.put(wanted);
    await world.clock.advance(1_000);
    expect(world.view.versions()[keys.index]).toEqual(v(1, 1, 2));
  });

  test("ends when the follower stops", async () => {
    const world = await new Followed().connected();
    await world.head(await head(1, 1, { of: [await index(v(1, 9))] }));
    await world.follower.stop();
    const { length } = world.bus.reads;
    await world.clock.advance(60_000);
    expect(world.bus.reads).toHaveLength(length);
  });
});

describe("TM-B-02 saved before it is acted upon", () => {
  test("a disk that fails keeps the change from being told; the next change that is kept tells of both", async () => {
    const world = await new Followed().connected();
    const { length } = world.told;
    world.store.fails = true;
    await world.object(await index(v(1, 1)));
    expect(world.told).toHaveLength(length);
    expect(world.log.lines.at(-1)?.level).toBe("error");
    world.store.fails = false;
    await world.object(await manifest(v(1, 2)));
    expect(world.told).toHaveLength(length + 1);
    expect(world.store.kept).toHaveLength(2);
  });

  test("a change whose save failed is told with the next head, which alone is nothing to be told of", async () => {
    const world = await new Followed().connected();
    const { length } = world.told;
    await world.head(await head(1, 1));
    expect(world.told).toHaveLength(length);
    world.store.fails = true;
    await world.object(await index(v(1, 1)));
    world.store.fails = false;
    await world.head(await head(1, 2));
    expect(world.told).toHaveLength(length + 1);
    expect(world.store.kept).toHaveLength(2);
  });

  test("only what is on disk is called applied", async () => {
    const world = await new Followed().connected();
    world.store.fails = true;
    await world.object(await index(v(1, 1)));
    expect(world.follower.applied).toEqual({});
    world.store.fails = false;
    await world.head(await head(1, 1));
    expect(world.follower.applied).toEqual({ [keys.index]: v(1, 1) });
  });

  test("what comes while the disk is written is not acted upon before it is written itself", async () => {
    const world = await new Followed().connected();
    const [first, second] = [await index(v(1, 1)), await index(v(1, 2))];
    const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    let saves = 0;
    world.store.beforeSave = () => gates[saves++]?.promise ?? Promise.resolve();
    const { length } = world.told;
    await world.object(first);
    await world.object(second);
    gates[0]?.resolve();
    await world.clock.advance(0);
    // The view holds the second already, the disk only the first.
    expect(world.told).toHaveLength(length);
    gates[1]?.resolve();
    await world.clock.advance(0);
    expect(world.told.length).toBeGreaterThan(length);
    expect(world.store.kept).toEqual([second.bytes]);
  });

  test("whatever fails or is slow, what was told is on disk", async () => {
    const steps = fc.array(fc.constantFrom("object", "head", "fail", "mend", "wait"), {
      maxLength: 20,
    });
    await fc.assert(
      fc.asyncProperty(steps, async (performed) => {
        const world = await new Followed().connected();
        let gate = Promise.withResolvers<void>();
        world.store.beforeSave = () => gate.promise;
        world.onChange = () => {
          const kept = new Set(
            world.store.kept.map((bytes) => Buffer.from(bytes).toString("utf8")),
          );
          for (const bytes of world.view.envelopes())
            expect(kept.has(Buffer.from(bytes).toString("utf8"))).toBe(true);
        };
        for (const [at, step] of performed.entries()) {
          if (step === "object") await world.object(await index(v(1, at + 1)));
          if (step === "head") await world.head(await head(1, at + 1));
          if (step === "fail" || step === "mend") world.store.fails = step === "fail";
          if (step !== "wait") continue;
          gate.resolve();
          gate = Promise.withResolvers<void>();
          await world.clock.advance(0);
        }
        const complaints = world.log.lines.filter(({ fields }) =>
          String(fields["reason"]).includes("expected"),
        );
        expect(complaints).toEqual([]);
      }),
      { numRuns: 60 },
    );
  });

  test("invariant 4: a restarted node knows from its disk what it knew, without any network", async () => {
    const before = await new Followed().connected();
    for (const object of await everything()) await before.object(object);
    await before.head(await head(1, 5, { of: await everything() }));
    const bus = new TestBus();
    bus.isAway = true;
    const after = new Followed({ store: before.store, bus });
    await after.follower.resume(await after.store.load());
    expect(after.view.versions()).toEqual(before.view.versions());
    expect(after.view.highest).toEqual({ epoch: 1n, term: 1n, n: 5n });
    expect(after.told).toMatchObject([{ shared: [], synced: false }]);
    await after.connected();
    await after.object(await index(v(1, 2)));
    expect(after.metrics.counts.get("herald_node_bus_alarms_total rollback")).toBe(1);
  });

  test("a damaged disk is no reason to stop", async () => {
    const store = new TestStore();
    const good = await index(v(1, 1));
    store.kept = [
      Buffer.from("[junk"),
      Buffer.from("junk"),
      Buffer.from('["a page of nothing"]'),
      good.bytes,
    ];
    const world = new Followed({ store });
    await world.follower.resume(await store.load());
    expect(world.view.versions()).toEqual({ [keys.index]: v(1, 1) });
  });
});

test("TM-B-01 what the broker makes up is counted and changes nothing", async () => {
  const world = await new Followed().connected();
  const { length } = world.told;
  world.bus.listener?.onObject(keys.index, Buffer.from("made up"));
  world.bus.listener?.onHead(Buffer.from("made up"));
  await world.object({ ...(await revocations(v(1, 1))), key: keys.bundle });
  await world.object({ ...(await index(v(1, 1))), key: "entry.web" });
  expect(world.metrics.counts.get("herald_node_bus_alarms_total forged")).toBe(2);
  expect(world.metrics.counts.get("herald_node_bus_alarms_total foreign")).toBe(1);
  expect(world.told).toHaveLength(length);
  expect(now).toBe(world.clock.now());
});
