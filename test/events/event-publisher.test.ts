import { jetstreamManager } from "@nats-io/jetstream";
import type { Msg, NatsConnection, PublishOptions } from "@nats-io/transport-node";
import { afterEach, describe, expect, test } from "vitest";
import { EventPublisher } from "../../src/events/adapters/event-publisher.ts";
import { wantedStreams } from "../../src/events/adapters/streams.ts";
import type { BusEvent, IssuerBus } from "../../src/events/bus.ts";
import { eventsStream } from "../../src/events/subjects.ts";
import { bytes, collect, text } from "../contract/bus-recorder.ts";
import { HeldClock } from "../support/held-clock.ts";
import { TestNatsServer } from "../support/nats-server.ts";

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const closer of closers.splice(0)) await closer();
});

function event(at: number): BusEvent {
  return { id: `e${at}`, type: "svid.rotated", bytes: bytes(`${at}`) };
}

function numbers(from: number, to: number): readonly number[] {
  return Array.from({ length: to - from + 1 }, (_, at) => from + at);
}

/** Publishes them in one turn, as the announcer does. */
async function publish(issuer: IssuerBus, those: readonly number[]): Promise<void> {
  await Promise.all(those.map((at) => issuer.publishEvent(event(at))));
}

/** All events so far. */
async function stored(issuer: IssuerBus, last: number): Promise<readonly string[]> {
  const abort = new AbortController();
  const found = await collect(issuer.tailEvents({ since: 1, signal: abort.signal }), String(last));
  abort.abort();
  return found.map((message) => text(message.bytes));
}

async function open(): Promise<{ readonly server: TestNatsServer; readonly issuer: IssuerBus }> {
  const server = await TestNatsServer.start();
  closers.push(() => server.close());
  return { server, issuer: await server.issuer() };
}

describe("events of one turn", () => {
  test("are stored in their order, also when they are more than one batch takes", async () => {
    const { issuer } = await open();
    await issuer.ensure();
    await publish(issuer, numbers(1, 1200));
    expect(await stored(issuer, 1200)).toEqual(numbers(1, 1200).map(String));
  });

  test("that are sent again beside new ones are stored once (ND-13)", async () => {
    const { issuer } = await open();
    await issuer.ensure();
    await publish(issuer, numbers(1, 5));
    await publish(issuer, numbers(3, 8));
    expect(await stored(issuer, 8)).toEqual(numbers(1, 8).map(String));
  });

  test("go one by one to a stream that takes no batches", async () => {
    const { server, issuer } = await open();
    const connection = await server.connectIssuer();
    closers.unshift(() => connection.close());
    const manager = await jetstreamManager(connection.nats());
    for (const wanted of wantedStreams({}).filter(({ name }) => name === eventsStream))
      await manager.streams.add({ ...wanted, allow_atomic: false });
    expect(await issuer.ensure()).toMatchObject([{ setting: "allow_atomic", wanted: "true" }]);
    await publish(issuer, numbers(1, 20));
    await publish(issuer, numbers(21, 40));
    expect(await stored(issuer, 40)).toEqual(numbers(1, 40).map(String));
  });

  test("cannot bring in headers of their own by their id", async () => {
    const { issuer } = await open();
    await issuer.ensure();
    const hostile = { ...event(1), id: "e1\r\nNats-Expected-Stream: OTHER" };
    await expect(issuer.publishEvent(hostile)).rejects.toMatchObject({ code: "BUS_BAD_KEY" });
  });

  test("all fail when there is no stream", async () => {
    const { issuer } = await open();
    const results = await Promise.allSettled([1, 2].map((at) => issuer.publishEvent(event(at))));
    expect(results).toMatchObject([
      { status: "rejected", reason: { code: "BUS_NO_STORE" } },
      { status: "rejected", reason: { code: "BUS_NO_STORE" } },
    ]);
  });

  test("all fail when the bus is closed before they are answered", async () => {
    const { issuer } = await open();
    await issuer.ensure();
    const waiting = Promise.allSettled([1, 2].map((at) => issuer.publishEvent(event(at))));
    await Promise.resolve();
    await issuer.close();
    expect(await waiting).toMatchObject([
      { status: "rejected", reason: { code: "BUS_CLOSED" } },
      { status: "rejected", reason: { code: "BUS_CLOSED" } },
    ]);
  });

  test("go one by one to a broker from before there were batches, and so do all that follow", async () => {
    const broker = new OldBroker();
    const publisher = new EventPublisher({
      connection: broker,
      trustDomain: "example.org",
      clock: new HeldClock(0),
      timeoutMs: 1000,
    });
    const publishAll = async (those: readonly number[]): Promise<void> => {
      await Promise.all(those.map((at) => publisher.publish(event(at))));
    };
    await publishAll([1, 2, 3]);
    expect(broker.acknowledged).toEqual(["e3", "e1", "e2", "e3"]);
    await publishAll([4, 5]);
    expect(broker.acknowledged.slice(4)).toEqual(["e4", "e5"]);
  });

  test("fail when nothing answers in time, and may be sent again", async () => {
    const broker = new OldBroker();
    broker.silent = true;
    const clock = new HeldClock(0);
    const publisher = new EventPublisher({
      connection: broker,
      trustDomain: "example.org",
      clock,
      timeoutMs: 1000,
    });
    const waiting = Promise.allSettled([1, 2].map((at) => publisher.publish(event(at))));
    await clock.advance(1001);
    expect(await waiting).toMatchObject([
      { status: "rejected", reason: { code: "BUS_TIMEOUT" } },
      { status: "rejected", reason: { code: "BUS_TIMEOUT" } },
    ]);
  });
});

/** As the client writes them to the wire. */
function idIn(headers: PublishOptions["headers"]): string {
  const written = (headers as unknown as { encode(): Uint8Array }).encode();
  return /\r\nNats-Msg-Id: (.*)\r\n/.exec(text(written))?.[1] ?? "";
}

/** Knows no batch: acknowledges every message that names a reply subject. */
class OldBroker {
  silent = false;
  readonly acknowledged: string[] = [];
  #tell: (error: Error | null, message: Msg) => void = () => undefined;

  freshInbox(): string {
    return "_INBOX_ISSUER.x";
  }

  nats(): NatsConnection {
    return this as unknown as NatsConnection;
  }

  subscribe(
    _subject: string,
    options: { readonly callback: (error: Error | null, message: Msg) => void },
  ): void {
    this.#tell = options.callback;
  }

  publish(_subject: string, _bytes: Uint8Array, options: PublishOptions): void {
    if (options.reply === undefined || this.silent) return;
    this.acknowledged.push(idIn(options.headers));
    const answer = { stream: eventsStream, seq: this.acknowledged.length };
    const message = { subject: options.reply, headers: undefined, json: () => answer };
    queueMicrotask(() => this.#tell(null, message as unknown as Msg));
  }
}
