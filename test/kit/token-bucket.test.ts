import fc from "fast-check";
import { expect, test } from "vitest";
import { rateOf, TokenBucket } from "../../src/kit/token-bucket.ts";

const start = Date.UTC(2026, 10, 22);

test("a full bucket gives its burst at once, and then what comes back", () => {
  const bucket = new TokenBucket({ perSecond: 10, burst: 3 }, start);
  expect([1, 2, 3, 4].map(() => bucket.tryTake(1, start))).toEqual([true, true, true, false]);
  expect(bucket.waitFor(1, start)).toBe(100);
  expect(bucket.tryTake(1, start + 99)).toBe(false);
  expect(bucket.tryTake(1, start + 100)).toBe(true);
});

test("what is larger than the burst waits for a full bucket and is paid for afterwards", () => {
  const bucket = new TokenBucket({ perSecond: 10, burst: 5 }, start);
  expect(bucket.tryTake(50, start)).toBe(true);
  expect(bucket.waitFor(1, start)).toBe(4600);
});

test("a clock that is set back gives nothing, and takes nothing", () => {
  const bucket = new TokenBucket({ perSecond: 10, burst: 2 }, start);
  bucket.take(2, start);
  expect(bucket.tryTake(1, start - 3_600_000)).toBe(false);
  expect(bucket.tryTake(1, start - 3_600_000 + 100)).toBe(true);
});

test("TM-N-06: over any while no more is given than the burst and what came back", () => {
  const asks = fc.array(
    fc.record({ afterMs: fc.integer({ min: 0, max: 500 }), cost: fc.integer({ min: 1, max: 9 }) }),
    { maxLength: 200 },
  );
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 100 }), asks, (perSecond, list) => {
      const rate = { ...rateOf(perSecond), burst: Math.max(9, 2 * perSecond) };
      const bucket = new TokenBucket(rate, start);
      let now = start;
      let given = 0;
      for (const { afterMs, cost } of list) {
        now += afterMs;
        const wait = bucket.waitFor(cost, now);
        const taken = bucket.tryTake(cost, now);
        expect(taken).toBe(wait === 0);
        if (taken) given += cost;
        else expect(new TokenBucket(rate, now).tryTake(cost, now)).toBe(true);
      }
      expect(given).toBeLessThanOrEqual(rate.burst + ((now - start) * perSecond) / 1000 + 1e-6);
    }),
  );
});

test("TM-N-06: who waits as long as was said is given it", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 1000 }),
      fc.integer({ min: 1, max: 20 }),
      (perSecond, cost) => {
        const bucket = new TokenBucket({ perSecond, burst: 20 }, start);
        bucket.take(20, start);
        const wait = bucket.waitFor(cost, start);
        expect(wait).toBeGreaterThan(0);
        expect(bucket.tryTake(cost, start + wait)).toBe(true);
      },
    ),
  );
});
