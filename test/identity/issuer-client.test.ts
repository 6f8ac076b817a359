import { describe, expect, test } from "vitest";
import { controlSigner } from "../../src/core/envelope/signers.ts";
import { parseTrustDomain } from "../../src/core/spiffe/spiffe-id.ts";
import { EventsError } from "../../src/events/error.ts";
import { refusalCode } from "../../src/identity/issuer-client.ts";
import { certificate, now, otherControlKey, signers } from "../core/envelope/support/keys.ts";
import { openAs } from "../core/envelope/support/open.ts";
import { node } from "../core/envelope/support/samples.ts";
import { Asking, replyTo, requestOf } from "./support/answering.ts";

type Send = (bytes: Uint8Array, timeoutMs: number) => Promise<Uint8Array>;

/** Asks for the state; the simplest question there is. */
function askState(world: Asking, send: Send) {
  const stamp = world.client.stamp(node);
  return world.client.ask({
    kind: "state-request",
    answer: "state-reply",
    payload: (at) => ({ ...stamp, at, nonce: "n1", highest: null }),
    signer: signers.node,
    send,
  });
}

const good = async (bytes: Uint8Array): Promise<Uint8Array> =>
  await replyTo("state-reply", requestOf(bytes, "state-request").digest, {
    nonce: "n1",
    head: "",
    state: [],
  });

const lost = (): Promise<Uint8Array> => Promise.reject(new EventsError("BUS_TIMEOUT", "lost"));

test("MEC-02 a request says who asks, when, and under a fresh id", async () => {
  const world = new Asking();
  const sent: Uint8Array[] = [];
  for (let i = 0; i < 2; i += 1)
    await askState(world, async (bytes) => {
      sent.push(bytes);
      return await good(bytes);
    });
  const [first, second] = sent.map((bytes) => requestOf(bytes, "state-request").payload);
  expect(first).toMatchObject({ td: "example.org", at: now, node });
  expect(first?.id).toMatch(/^[a-z2-7]{26}$/);
  expect(first?.id).not.toBe(second?.id);
});

test("MEC-03 an answer for this request is taken, and says which it was", async () => {
  const world = new Asking();
  let digest = "";
  const { answer, request } = await askState(world, async (bytes) => {
    digest = requestOf(bytes, "state-request").digest;
    return await good(bytes);
  });
  expect(answer.payload.nonce).toBe("n1");
  expect(request).toBe(digest);
});

describe("TM-B-07 swapped and forged answers", () => {
  const contents = { nonce: "n1", head: "", state: [] } as const;

  test("the answer to another request is refused, and so is another node's", async () => {
    const world = new Asking();
    const answers: Uint8Array[] = [];
    await askState(world, async (bytes) => {
      const answer = await good(bytes);
      answers.push(answer);
      return answer;
    });
    const [earlier = Buffer.alloc(0)] = answers;
    expect(await world.outcome(askState(world, () => Promise.resolve(earlier)))).toBe("BAD_REPLY");
  });

  test("a refusal of another request is refused too", async () => {
    const world = new Asking();
    const send = async () =>
      await replyTo("refused", "0".repeat(64), { code: "NODE_BANNED", reason: "made up" });
    expect(await world.outcome(askState(world, send))).toBe("BAD_REPLY");
  });

  test("an answer that no issuer of this domain signed is refused", async () => {
    const world = new Asking();
    const impostor = controlSigner(otherControlKey, await certificate());
    for (const signer of [impostor, signers.node, signers.root, signers.token]) {
      const send: Send = async (bytes) =>
        await replyTo("state-reply", requestOf(bytes, "state-request").digest, {
          ...contents,
          signer,
        });
      expect(await world.outcome(askState(world, send))).toBe("BAD_REPLY");
    }
    for (const junk of ["", "{}", "-ERR"])
      expect(await world.outcome(askState(world, () => Promise.resolve(Buffer.from(junk))))).toBe(
        "BAD_REPLY",
      );
  });

  test("a good answer that says another trust domain is refused", async () => {
    const world = new Asking();
    const td = parseTrustDomain("other.example");
    const send: Send = async (bytes) =>
      await replyTo("state-reply", requestOf(bytes, "state-request").digest, { ...contents, td });
    expect(await world.outcome(askState(world, send))).toBe("BAD_REPLY");
  });

  test("TM-B-08 a good answer of another kind is refused", async () => {
    const world = new Asking();
    const send: Send = async (bytes) =>
      await replyTo("ack-reply", requestOf(bytes, "state-request").digest, { counter: 1 });
    expect(await world.outcome(askState(world, send))).toBe("BAD_REPLY");
  });

  test("one's own request is no answer", async () => {
    const world = new Asking();
    expect(await world.outcome(askState(world, (bytes) => Promise.resolve(bytes)))).toBe(
      "BAD_REPLY",
    );
  });
});

describe("ND-34 asking again", () => {
  test("the same bytes, three times, with a pause between", async () => {
    const world = new Asking();
    const sent: { readonly at: number; readonly text: string; readonly timeoutMs: number }[] = [];
    const asked = askState(world, (bytes, timeoutMs) => {
      sent.push({ at: world.clock.now(), text: Buffer.from(bytes).toString("utf8"), timeoutMs });
      return lost();
    });
    expect(await world.outcome(asked)).toBe("NO_ANSWER");
    expect(sent).toHaveLength(3);
    expect(new Set(sent.map(({ text }) => text)).size).toBe(1);
    expect(sent.every(({ timeoutMs }) => timeoutMs === 2000)).toBe(true);
    const [first, second, third] = sent.map(({ at }) => at);
    expect(second).toBeGreaterThan(first ?? 0);
    expect(third).toBeGreaterThan(second ?? 0);
  });

  test("an answer to the last try counts", async () => {
    const world = new Asking();
    let tries = 0;
    const asked = askState(world, async (bytes) =>
      ++tries < 3 ? await lost() : await good(bytes),
    );
    expect(await world.outcome(asked)).toMatchObject({ answer: { kind: "state-reply" } });
  });
});

describe("refusals", () => {
  const refuse =
    (code: "CLOCK" | "NODE_BANNED", at: number): Send =>
    async (bytes) =>
      await replyTo("refused", requestOf(bytes, "state-request").digest, {
        at,
        code,
        reason: "so",
      });

  test("are thrown with the issuer's code, and not asked again", async () => {
    const world = new Asking();
    let sent = 0;
    const asked = askState(world, async (bytes, timeoutMs) => {
      sent += 1;
      return await refuse("NODE_BANNED", now)(bytes, timeoutMs);
    });
    const thrown: unknown = await asked.catch((refusal: unknown) => refusal);
    expect(refusalCode(thrown)).toBe("NODE_BANNED");
    expect(await world.outcome(Promise.reject(thrown as Error))).toBe("REFUSED");
    expect(sent).toBe(1);
    expect(refusalCode(new RangeError("other"))).toBeUndefined();
  });

  test.for([120_000, -3_600_000])(
    "CLOCK: asked once more with the issuer's time (%i ms off), and alarmed",
    async (offMs) => {
      const world = new Asking();
      const times: number[] = [];
      const ids = new Set<string>();
      const { answer } = await askState(world, async (bytes, timeoutMs) => {
        const { at, id } = openAs(bytes, "state-request").payload;
        times.push(at);
        ids.add(id);
        return times.length === 1
          ? await refuse("CLOCK", now + offMs)(bytes, timeoutMs)
          : await good(bytes);
      });
      expect(answer.kind).toBe("state-reply");
      expect(times).toEqual([now, now + offMs]);
      expect(world.log.alarms).toEqual(["clock"]);
      // It is the same request, dated anew.
      expect(ids.size).toBe(1);
    },
  );

  test("CLOCK twice is a refusal: no third time", async () => {
    const world = new Asking();
    let sent = 0;
    const asked = askState(world, async (bytes, timeoutMs) => {
      sent += 1;
      return await refuse("CLOCK", now + 90_000)(bytes, timeoutMs);
    });
    const thrown: unknown = await asked.catch((refusal: unknown) => refusal);
    expect(refusalCode(thrown)).toBe("CLOCK");
    expect(sent).toBe(2);
  });

  test("TM-B-07 a replayed CLOCK refusal moves no clock", async () => {
    const world = new Asking();
    const old: Uint8Array[] = [];
    await askState(world, async (bytes, timeoutMs) => {
      if (old.length > 0) return await good(bytes);
      old.push(await refuse("CLOCK", now + 90_000)(bytes, timeoutMs));
      return old[0] ?? bytes;
    });
    const [replayed = Buffer.alloc(0)] = old;
    expect(await world.outcome(askState(world, () => Promise.resolve(replayed)))).toBe("BAD_REPLY");
  });
});
