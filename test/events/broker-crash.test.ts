import { errors, type NatsConnection } from "@nats-io/transport-node";
import { afterEach, describe, expect, test } from "vitest";
import { LinearWrites } from "../../src/events/adapters/linear-writes.ts";
import type { IssuerBus, LogMessage } from "../../src/events/bus.ts";
import { auditStream } from "../../src/events/subjects.ts";
import { bytes, text } from "../contract/bus-recorder.ts";
import { MemoryBus } from "../support/memory-bus.ts";
import { TestNatsServer, testTrustDomain } from "../support/nats-server.ts";

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const closer of closers.splice(0)) await closer();
});

async function broker(): Promise<TestNatsServer> {
  const server = await TestNatsServer.start();
  closers.push(() => server.close());
  return server;
}

describe("a broker that dies", () => {
  test("nothing acknowledged is lost on SIGKILL, and unacknowledged writes can be repeated (ND-T1)", async () => {
    const server = await broker();
    const issuer = await server.issuer();
    await issuer.ensure();
    const acknowledged = new Map<string, string>();
    const audited: string[] = [];
    let killed: Promise<void> | undefined;

    const put = async (at: number): Promise<void> => {
      await issuer.put(`entry.k${at}`, bytes(`v${at}`));
      acknowledged.set(`entry.k${at}`, `v${at}`);
    };
    const audit = async (at: number): Promise<void> => {
      await issuer.appendAudit("one", bytes(`a${at}`));
      audited.push(`a${at}`);
      if (at === 100) killed = server.down();
    };
    const results = await Promise.allSettled(
      [...Array(300).keys()].flatMap((at) => [put(at), audit(at)]),
    );
    expect(results.some((result) => result.status === "rejected")).toBe(true);
    await killed;

    await server.up();
    const after = await server.issuer();
    const loaded = await after.loadAll();
    for (const [key, value] of acknowledged) expect(text(loaded.get(key))).toBe(value);
    const kept = await recordsOf(after, "one");
    expect(kept.slice(0, audited.length)).toEqual(audited);

    // The same process repeats what it got no answer for: neither a conflict nor a second copy.
    await until(() => issuer.connected());
    for (const at of Array(300).keys()) {
      if (!acknowledged.has(`entry.k${at}`)) await put(at);
    }
    const next = `a${audited.length}`;
    await issuer.appendAudit("one", bytes(next));
    expect(await recordsOf(after, "one")).toEqual([...audited, next]);
    expect((await after.loadAll()).size).toBe(300);
  });

  test("a tail goes on after a restart without loss or repetition", async () => {
    const server = await broker();
    const issuer = await server.issuer();
    await issuer.ensure();
    const abort = new AbortController();
    const found: number[] = [];
    const { promise: half, resolve: reachedHalf } = Promise.withResolvers<void>();
    const tailed = (async () => {
      for await (const event of issuer.tailEvents({ since: 1, signal: abort.signal })) {
        found.push(event.sequence);
        if (event.sequence === 3) reachedHalf();
        if (event.sequence === 6) break;
      }
    })();
    for (const at of [1, 2, 3]) await publish(issuer, at);
    await half;
    await server.down();
    await server.up();
    await until(() => issuer.connected());
    for (const at of [4, 5, 6]) await publish(issuer, at);
    await tailed;
    expect(found).toEqual([1, 2, 3, 4, 5, 6]);
  });
});

describe("a lost acknowledgement", () => {
  interface Chain {
    append(words: string): Promise<void>;
    loseAck(): void;
    records(): Promise<readonly string[]>;
  }

  const chains: readonly (readonly [string, () => Promise<Chain>])[] = [
    ["memory", memoryChain],
    ["nats-server", natsChain],
  ];

  test.for(chains)("repeating the bytes does not write them twice: %s", async ([, open]) => {
    const chain = await open();
    await chain.append("one");
    chain.loseAck();
    await expect(chain.append("two")).rejects.toMatchObject({ code: "BUS_TIMEOUT" });
    await chain.append("two");
    await chain.append("three");
    expect(await chain.records()).toEqual(["one", "two", "three"]);
  });

  test.for(chains)(
    "of several unsure writes the one that was written is found: %s",
    async ([, open]) => {
      const chain = await open();
      chain.loseAck();
      await expect(chain.append("one")).rejects.toMatchObject({ code: "BUS_TIMEOUT" });
      chain.loseAck();
      await chain.append("two").catch(() => undefined);
      await chain.append("three");
      // "two" may or may not be there, as its caller was told.
      const records = await chain.records();
      expect(records.filter((words) => words !== "two")).toEqual(["one", "three"]);
    },
  );

  test.for(chains)("other bytes follow what was written after all: %s", async ([, open]) => {
    const chain = await open();
    chain.loseAck();
    await expect(chain.append("one")).rejects.toMatchObject({ code: "BUS_TIMEOUT" });
    await chain.append("two");
    expect(await chain.records()).toEqual(["one", "two"]);
  });

  async function memoryChain(): Promise<Chain> {
    const bus = new MemoryBus({ trustDomain: testTrustDomain });
    const issuer = bus.issuer();
    return {
      append: (words) => issuer.appendAudit("one", bytes(words)),
      loseAck: () => bus.faults.loseAcks("issuer", 1),
      records: () => recordsOf(issuer, "one"),
    };
  }

  async function natsChain(): Promise<Chain> {
    const server = await broker();
    const issuer = await server.issuer();
    await issuer.ensure();
    const real = (await server.connectIssuer()).nats();
    let lose = false;
    const request: NatsConnection["request"] = async (...asked) => {
      const answer = await real.request(...asked);
      if (!lose) return answer;
      lose = false;
      throw new errors.TimeoutError();
    };
    const lossy = Object.assign(Object.create(real) as NatsConnection, { request });
    const writes = new LinearWrites({ nats: () => lossy, timeoutMs: 5_000 });
    const subject = "herald.v1.audit.one";
    return {
      append: (words) =>
        writes.write({
          stream: auditStream,
          subject,
          bytes: bytes(words),
          continues: false,
          what: "record",
        }),
      loseAck: () => {
        lose = true;
      },
      records: () => recordsOf(issuer, "one"),
    };
  }
});

function publish(issuer: IssuerBus, at: number): Promise<void> {
  return issuer.publishEvent({ id: `e${at}`, type: "svid.rotated", bytes: bytes(`${at}`) });
}

/** All records of a chain so far. */
async function recordsOf(issuer: IssuerBus, chain: string): Promise<readonly string[]> {
  const last: LogMessage | undefined = await issuer.lastAudit(chain);
  const found: string[] = [];
  if (last === undefined) return found;
  const signal = new AbortController().signal;
  for await (const record of issuer.tailAudit({ since: 1, signal })) {
    if (record.subject === last.subject) found.push(text(record.bytes));
    if (record.sequence === last.sequence) break;
  }
  return found;
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}
