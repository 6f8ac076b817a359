import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { exponentialBackoff } from "../../src/kit/backoff.ts";
import { pause } from "../../src/kit/clock.ts";
import { HeraldError, reasonOf } from "../../src/kit/errors.ts";
import { HeldClock } from "../support/held-clock.ts";
import { SeededRandom } from "../support/seeded-random.ts";

describe("backoff", () => {
  test("doubles up to its limit, with jitter above half, and starts again after a success", () => {
    fc.assert(
      fc.property(
        fc.integer(),
        fc.integer({ min: 1, max: 1000 }),
        fc.nat({ max: 60 }),
        (seed, baseMs, tries) => {
          const backoff = exponentialBackoff({
            baseMs,
            maxMs: 60_000,
            random: new SeededRandom(seed),
          });
          for (let n = 0; n < tries; n += 1) {
            const full = Math.min(60_000, baseMs * 2 ** n);
            const wait = backoff.next();
            expect(wait).toBeGreaterThanOrEqual(full / 2);
            expect(wait).toBeLessThanOrEqual(full);
          }
          backoff.reset();
          expect(backoff.next()).toBeLessThanOrEqual(baseMs);
        },
      ),
    );
  });
});

describe("pause", () => {
  test("ends after its time, or with the signal", async () => {
    const clock = new HeldClock(0);
    const ended: string[] = [];
    const stop = new AbortController();
    const watch = (name: string, paused: Promise<void>) => {
      paused.then(
        () => ended.push(name),
        () => ended.push(`${name} rejected`),
      );
    };
    watch("short", pause(clock, 10));
    watch("long", pause(clock, 1000, stop.signal));
    await clock.advance(10);
    expect(ended).toEqual(["short"]);
    stop.abort();
    await clock.advance(0);
    expect(ended).toEqual(["short", "long"]);
    watch("late", pause(clock, 1000, stop.signal));
    await clock.advance(0);
    expect(ended).toEqual(["short", "long", "late"]);
  });
});

describe("errors", () => {
  class RoomError extends HeraldError<"ONE" | "TWO"> {}

  test("carry their room's name, code and cause", () => {
    const cause = new RangeError("deep");
    const error = new RoomError("ONE", "on top", { cause });
    expect(error).toMatchObject({ name: "RoomError", code: "ONE", message: "on top", cause });
    expect(reasonOf(error)).toContain("on top");
    expect(reasonOf(error)).toContain("deep");
  });

  test("anything thrown has a reason", () => {
    expect(reasonOf("text")).toBe("text");
    expect(reasonOf(undefined)).toBe("undefined");
    expect(reasonOf(new TypeError())).toBe("TypeError");
  });
});
