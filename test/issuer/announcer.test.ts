import { expect, test } from "vitest";
import { parseSpiffeId } from "../../src/core/spiffe/spiffe-id.ts";
import { Announcer } from "../../src/issuer/announcer.ts";
import { silentLog } from "../../src/kit/log.ts";
import { HeldClock } from "../support/held-clock.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { quiet } from "../support/simulation-quiet.ts";

/** A stream that answers when the test says so. */
class Gates {
  readonly ids: string[] = [];
  readonly sequences: number[] = [];
  #waiting: PromiseWithResolvers<void>[] = [];

  publishEvent(event: { readonly id: string; readonly bytes: Uint8Array }): Promise<void> {
    const told = JSON.parse(Buffer.from(event.bytes).toString("utf8")) as { sequence: string };
    this.ids.push(event.id);
    this.sequences.push(Number(told.sequence));
    const waiting = Promise.withResolvers<void>();
    this.#waiting.push(waiting);
    return waiting.promise;
  }

  /** Answers all that wait; those at `lost` are refused. */
  async answer(lost: readonly number[] = []): Promise<void> {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const [at, one] of waiting.entries()) {
      if (lost.includes(at)) one.reject(new Error("away"));
      else one.resolve();
    }
    await quiet();
  }
}

function numbers(from: number, to: number): readonly number[] {
  return Array.from({ length: to - from + 1 }, (_, at) => from + at);
}

function open(clock = new HeldClock(0)): {
  readonly stream: Gates;
  readonly clock: HeldClock;
  readonly announce: (count: number) => Promise<void>;
} {
  const stream = new Gates();
  const announcer = new Announcer({
    issuer: parseSpiffeId("spiffe://example.org/herald/issuer/one"),
    stream,
    clock,
    random: new SeededRandom(1),
    log: silentLog,
  });
  return {
    stream,
    clock,
    async announce(count) {
      for (let at = 0; at < count; at += 1)
        announcer.announce("svid.issued", "spiffe://example.org/web", {});
      await quiet();
    },
  };
}

test("events go out in order, many before the first is acknowledged, and no more than the broker can take at once", async () => {
  const { stream, announce } = open();
  await announce(600);
  const begun = stream.sequences.length;
  expect(begun).toBeLessThanOrEqual(257);
  for (let round = 0; round < 10; round += 1) await stream.answer();
  expect(stream.sequences).toEqual(numbers(1, 600));
  expect(new Set(stream.ids).size).toBe(600);
});

test("ND-13: what was lost is sent again, by the same id, before anything new; what arrived is not", async () => {
  const { stream, clock, announce } = open();
  await announce(1);
  await announce(4);
  await stream.answer();
  expect(stream.sequences).toEqual([1, 2, 3, 4, 5]);
  await stream.answer([1, 3]);
  await announce(2);
  expect(stream.sequences).toHaveLength(5);
  await clock.advance(10_000);
  await quiet();
  expect(stream.sequences.slice(5)).toEqual([3, 5, 6, 7]);
  expect(stream.ids.slice(5, 7)).toEqual([stream.ids[2], stream.ids[4]]);
});

test("while the stream is away the newest ten thousand wait and the oldest fall off", async () => {
  const { stream, clock, announce } = open();
  await announce(1);
  await announce(10_010);
  await stream.answer([0]);
  await clock.advance(10_000);
  await quiet();
  expect(stream.sequences[1]).toBe(12);
});
