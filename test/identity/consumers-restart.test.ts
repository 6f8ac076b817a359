import { describe, expect, test } from "vitest";
import { now, trustDomain } from "../core/envelope/support/keys.ts";
import { bundle, ConsumersWorld, svid } from "./support/consumers-world.ts";

describe("over a restart of the daemon", () => {
  function restarted(world: ConsumersWorld): ConsumersWorld {
    const saved = world.consumers.save();
    world.consumers = world.restarted();
    world.consumers.resume(saved);
    return world;
  }

  test("whoever runs still counts, with what it had and for as long as it holds it", () => {
    const world = new ConsumersWorld();
    const stream = world.stream(7);
    world.consumers.sent(stream, [bundle(6), svid(now + 86_400_000)]);
    world.consumers.acknowledged(stream, [bundle(5)]);
    expect(restarted(world).of(7)).toMatchObject({
      id: "sds-7-s7",
      connected: false,
      sent: { [trustDomain]: 6n },
      acknowledged: { [trustDomain]: 5n },
      heldUntil: now + 86_400_000,
    });
    // And over a second one.
    expect(restarted(world).of(7)?.heldUntil).toBe(now + 86_400_000);
  });

  test("whoever ended meanwhile is forgotten, and a successor with its pid is not mistaken for it", () => {
    const world = new ConsumersWorld();
    for (const pid of [7, 8]) world.consumers.sent(world.stream(pid), [bundle(5)]);
    world.running.delete(7);
    world.running.set(8, "later");
    expect(restarted(world).consumers.report()).toEqual([]);
  });

  test("whoever comes back for a name is the same again, and still has what it accepted of it", () => {
    const world = new ConsumersWorld();
    const before = world.stream(7);
    world.consumers.sent(before, [bundle(5)]);
    world.consumers.acknowledged(before, [bundle(5)]);
    restarted(world);
    const stream = world.stream(7);
    world.consumers.sent(stream, [bundle(6)]);
    expect(world.consumers.report()).toHaveLength(1);
    expect(world.sequences(7)).toEqual([6n, 5n]);
    world.consumers.acknowledged(stream, [bundle(6)]);
    expect(world.sequences(7)).toEqual([6n, 6n]);
  });

  test("a name nobody comes back for counts half a minute more", async () => {
    const world = new ConsumersWorld();
    world.consumers.sent(world.stream(7), [bundle(5, "ALL")]);
    restarted(world);
    const stream = world.stream(7);
    world.consumers.sent(stream, [bundle(6)]);
    world.consumers.acknowledged(stream, [bundle(6)]);
    expect(world.sequences(7)).toEqual([6n, 0n]);
    await world.clock.advance(30_001);
    expect(world.sequences(7)).toEqual([6n, 6n]);
  });

  test("a refusal outlives it", () => {
    const world = new ConsumersWorld();
    const stream = world.stream(7);
    world.consumers.sent(stream, [bundle(5)]);
    world.consumers.refused(stream, { ...bundle(5), message: "no" });
    expect(restarted(world).of(7)?.refusal).toEqual({ name: "ROOTCA", reason: "no" });
  });

  test.for(["", "{}", '[{"id":"sds-7-s7"}]', "[ ]"])(
    "a damaged list (%j) is refused as a whole",
    (text) => {
      const world = new ConsumersWorld();
      expect(() => world.consumers.resume(Buffer.from(text))).toThrow();
      expect(world.consumers.report()).toEqual([]);
    },
  );
});
