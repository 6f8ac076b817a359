import { describe, expect, test } from "vitest";
import { controlSigner } from "../../src/core/envelope/signers.ts";
import { certificate, otherControlKey, signers } from "../core/envelope/support/keys.ts";
import { node } from "../core/envelope/support/samples.ts";
import { Asking, replyTo, requestOf } from "./support/answering.ts";

type Send = (bytes: Uint8Array) => Promise<Uint8Array>;

/** Asks, and tells when each try was made and with which bytes. */
function askState(world: Asking, send: Send) {
  const stamp = world.client.stamp(node);
  const sent: { readonly at: number; readonly text: string }[] = [];
  const asked = world.client.ask({
    kind: "state-request",
    answer: "state-reply",
    payload: (at) => ({ ...stamp, at, nonce: "n1", highest: null }),
    signer: signers.node,
    send: async (bytes) => {
      sent.push({ at: world.clock.now(), text: Buffer.from(bytes).toString("utf8") });
      return await send(bytes);
    },
  });
  return { sent, asked };
}

const good: Send = async (bytes) =>
  await replyTo("state-reply", requestOf(bytes, "state-request").digest, {
    nonce: "n1",
    head: "",
    state: [],
  });

const busy =
  (retryAfterMs: number): Send =>
  async (bytes) =>
    await replyTo("busy", requestOf(bytes, "state-request").digest, { retryAfterMs });

function inTurn(...answers: readonly Send[]): Send {
  let turn = 0;
  return async (bytes) => await (answers[turn++] ?? good)(bytes);
}

describe("TM-N-06 a busy issuer", () => {
  test("is asked again with the same bytes, no sooner than it said and not much later", async () => {
    const world = new Asking();
    const { sent, asked } = askState(world, inTurn(busy(700), busy(300)));
    expect(await world.outcome(asked)).toMatchObject({ answer: { kind: "state-reply" } });
    expect(new Set(sent.map(({ text }) => text)).size).toBe(1);
    const [first = 0, second = 0, third = 0] = sent.map(({ at }) => at);
    expect(second - first).toBeGreaterThanOrEqual(700);
    expect(second - first).toBeLessThanOrEqual(1050);
    expect(third - second).toBeGreaterThanOrEqual(300);
    expect(world.log.alarms).toEqual([]);
  });

  test("takes none of the tries: those are for answers that are lost", async () => {
    const world = new Asking();
    const lost: Send = () => Promise.reject(new Error("lost"));
    const { sent, asked } = askState(
      world,
      inTurn(lost, lost, busy(100), lost, busy(100), lost, lost),
    );
    expect(await world.outcome(asked)).toMatchObject({ answer: { kind: "state-reply" } });
    expect(sent).toHaveLength(8);
  });

  test.for<readonly [string, number, number]>([
    ["a wait of days is cut", 86_400_000, 15_000],
    ["no wait at all is one", 0, 75],
  ])("%s", async ([, told, most]) => {
    const world = new Asking();
    const { sent, asked } = askState(world, inTurn(busy(told)));
    expect(await world.outcome(asked)).toMatchObject({ answer: { kind: "state-reply" } });
    const [first = 0, second = 0] = sent.map(({ at }) => at);
    expect(second - first).toBeGreaterThanOrEqual(50);
    expect(second - first).toBeLessThanOrEqual(most);
  });

  test("that stays busy is given up in time for the request to be still alive", async () => {
    const world = new Asking();
    const begun = world.clock.now();
    const { sent, asked } = askState(world, busy(5000));
    expect(await world.outcome(asked)).toBe("BUSY");
    expect((sent.at(-1)?.at ?? 0) - begun).toBeLessThan(60_000);
    expect(sent.length).toBeGreaterThan(2);
  });

  test("that was made up is ignored: unsigned, signed by others, or for another request", async () => {
    const impostor = controlSigner(otherControlKey, await certificate());
    const forged =
      (signer: typeof impostor): Send =>
      async (bytes) =>
        await replyTo("busy", requestOf(bytes, "state-request").digest, {
          retryAfterMs: 9999,
          signer,
        });
    const other: Send = async () => await replyTo("busy", "0".repeat(64), { retryAfterMs: 9999 });
    for (const answer of [forged(impostor), forged(signers.node), forged(signers.root), other]) {
      const world = new Asking();
      const { sent, asked } = askState(world, inTurn(answer));
      expect(await world.outcome(asked)).toMatchObject({ answer: { kind: "state-reply" } });
      const [first = 0, second = 0] = sent.map(({ at }) => at);
      expect(second - first).toBeLessThanOrEqual(100);
      const stubborn = new Asking();
      expect(await stubborn.outcome(askState(stubborn, answer).asked)).toBe("BAD_REPLY");
    }
  });
});
