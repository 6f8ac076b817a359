import { describe, expect, test } from "vitest";
import { Followed } from "../identity/support/followed.ts";
import { bundle, epoch, head, keys, revocations, v } from "../identity/support/signed-state.ts";

describe("a broker that withholds", () => {
  test("TM-B-04: revocations that heads name, while all else is delivered, is alarmed once, and again after it gave them", async () => {
    const world = new Followed();
    world.bus.put(
      await epoch(v(0, 1)),
      await revocations(v(1, 1)),
      await bundle(v(1, 2), { revocations: v(1, 1) }),
    );
    await world.connected();
    const alarms = () => world.metrics.counts.get("herald_node_bus_alarms_total withheld") ?? 0;
    for (const [round, seq] of [11, 12].entries()) {
      const revoked = await revocations(v(1, seq));
      world.askIssuer = () => Promise.reject(new RangeError("nobody there"));
      await world.head(await head(1, seq, { of: [revoked] }));
      await world.clock.advance(1000);
      expect(alarms()).toBe(round);
      await world.clock.advance(120_000);
      expect(alarms()).toBe(round + 1);
      world.bus.put(revoked);
      await world.clock.advance(10_000);
      expect(world.view.versions()[keys.revocations]).toEqual(v(1, seq));
    }
  });
});
