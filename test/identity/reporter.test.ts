import { expect, test } from "vitest";
import type { Ack } from "../../src/core/envelope/payloads.ts";
import { nodeSigner } from "../../src/core/envelope/signers.ts";
import { EventsError } from "../../src/events/error.ts";
import { NodeIdentity } from "../../src/identity/node-identity.ts";
import { type NodeReport, Reporter } from "../../src/identity/reporter.ts";
import { nodeKey, signers } from "../core/envelope/support/keys.ts";
import { Asking, replyTo, requestOf } from "./support/answering.ts";
import { identityOptions, TestIdentityStore } from "./support/identity-world.ts";

/** A node that acknowledges, and an issuer that may not answer. */
class World extends Asking {
  readonly acks: { readonly at: number; readonly ack: Ack }[] = [];
  report: NodeReport = { highest: null, applied: {}, consumers: [], authorities: [], spreadMs: 0 };
  answers = true;
  beforeAnswer: () => Promise<void> = () => Promise.resolve();

  async reporter(): Promise<Reporter> {
    const identity = await NodeIdentity.resume(
      identityOptions({
        client: this.client,
        clock: this.clock,
        store: await TestIdentityStore.enrolled(),
      }),
    );
    if (identity === undefined) throw new RangeError("the store holds an identity");
    return new Reporter({
      identity,
      client: this.client,
      ask: async (_, bytes) => {
        const { payload, digest } = requestOf(bytes, "ack");
        this.acks.push({ at: this.clock.now(), ack: payload });
        await this.beforeAnswer();
        if (!this.answers) throw new EventsError("BUS_TIMEOUT", "no answer");
        return await replyTo("ack-reply", digest, { counter: payload.counter });
      },
      boot: "boot1",
      report: () => this.report,
      clock: this.clock,
      random: { bytes: (length) => Buffer.alloc(length), fraction: () => 0.5 },
      log: this.log,
    });
  }

  /** Counters of the acknowledgements, as they went out. */
  get counters(): readonly number[] {
    return this.acks.map(({ ack }) => ack.counter);
  }
}

test("the first goes out at once, and says all", async () => {
  const world = new World();
  world.report = {
    highest: { epoch: 1n, term: 2n, n: 3n },
    applied: { "bundle.abc": { epoch: 1n, term: 2n, seq: 4n } },
    consumers: [],
    authorities: [{ authority: "00ff", svids: 1, until: 5 }],
    spreadMs: 60_000,
  };
  const reporter = await world.reporter();
  reporter.changed();
  await world.clock.advance(1_000);
  expect(world.acks).toEqual([]);
  reporter.start();
  await world.clock.advance(0);
  const { spreadMs: _, ...said } = world.report;
  expect(world.acks.map(({ ack }) => ack)).toEqual([
    expect.objectContaining({ ...said, boot: "boot1", counter: 1 }),
  ]);
  expect(nodeSigner(nodeKey).keyId).toBe(signers.node.keyId);
});

test("later changes are gathered, and spread by what the head says", async () => {
  const world = new World();
  const reporter = await world.reporter();
  reporter.start();
  await world.clock.advance(0);
  for (let i = 0; i < 5; i += 1) {
    reporter.changed();
    await world.clock.advance(20);
  }
  expect(world.counters).toEqual([1]);
  await world.clock.advance(150);
  expect(world.counters).toEqual([1, 2]);
  world.report = { ...world.report, spreadMs: 10_000 };
  reporter.changed();
  await world.clock.advance(5_000);
  expect(world.counters).toEqual([1, 2]);
  await world.clock.advance(150);
  expect(world.counters).toEqual([1, 2, 3]);
});

test("without any change every five minutes", async () => {
  const world = new World();
  const reporter = await world.reporter();
  reporter.start();
  await world.clock.advance(0);
  await world.clock.advance(299_000);
  expect(world.counters).toEqual([1]);
  await world.clock.advance(2_000);
  expect(world.counters).toEqual([1, 2]);
  await world.clock.advance(301_000);
  expect(world.counters).toEqual([1, 2, 3]);
});

test("each until it is answered, with a counter that grows and what is true by then", async () => {
  const world = new World();
  const reporter = await world.reporter();
  world.answers = false;
  reporter.start();
  await world.clock.advance(60_000);
  // One question is asked three times with the same bytes (ND-34).
  const counters = world.counters;
  expect(counters.length).toBeGreaterThan(6);
  expect(counters).toEqual(counters.toSorted((a, b) => a - b));
  world.report = { ...world.report, highest: { epoch: 1n, term: 9n, n: 9n } };
  world.answers = true;
  await world.clock.advance(61_000);
  expect(world.acks.at(-1)?.ack.highest).toEqual({ epoch: 1n, term: 9n, n: 9n });
  const { length } = world.acks;
  await world.clock.advance(200_000);
  expect(world.acks).toHaveLength(length);
});

test("retries are 1 s apart at first, 60 s at most", async () => {
  const world = new World();
  const reporter = await world.reporter();
  world.answers = false;
  reporter.start();
  await world.clock.advance(3_600_000);
  const starts = new Map(world.acks.toReversed().map(({ at, ack }) => [ack.counter, at]));
  const times = [...starts.values()].toReversed();
  const gaps = times.slice(1).map((at, i) => at - (times[i] ?? 0));
  expect(gaps[0]).toBeLessThan(3_000);
  expect(Math.max(...gaps)).toBeLessThan(63_000);
  expect(gaps.at(-1)).toBeGreaterThan(30_000);
});

test("a change while one is on its way is told in the next", async () => {
  const world = new World();
  const reporter = await world.reporter();
  const gate = Promise.withResolvers<void>();
  world.beforeAnswer = () => gate.promise;
  reporter.start();
  await world.clock.advance(0);
  reporter.changed();
  await world.clock.advance(1_000);
  expect(world.counters).toEqual([1]);
  gate.resolve();
  await world.clock.advance(150);
  expect(world.counters).toEqual([1, 2]);
});

test("a stopped one is silent", async () => {
  const world = new World();
  const reporter = await world.reporter();
  world.answers = false;
  reporter.start();
  await world.clock.advance(100);
  reporter.stop();
  reporter.changed();
  await world.clock.advance(10_000);
  const { length } = world.acks;
  await world.clock.advance(3_600_000);
  expect(world.acks).toHaveLength(length);
});
