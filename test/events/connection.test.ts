import { once } from "node:events";
import { type AddressInfo, createServer as createTcp, type Server } from "node:net";
import { createServer as createTls } from "node:tls";
import { afterEach, describe, expect, test } from "vitest";
import {
  type BusStatus,
  type ConnectBusOptions,
  connectBus,
} from "../../src/events/adapters/connection.ts";
import { makeNkeys } from "../../src/events/adapters/nkeys.ts";
import { systemClock } from "../../src/kit/clock.ts";
import { silentLog } from "../../src/kit/log.ts";
import { systemRandom } from "../../src/kit/random.ts";
import { BusRecorder, bytes, text } from "../contract/bus-recorder.ts";
import { type BrokerIdentity, makeBrokerIdentity } from "../support/broker-identity.ts";
import { TestNatsServer, testTrustDomain } from "../support/nats-server.ts";

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const closer of closers.splice(0).toReversed()) await closer();
});

async function broker(): Promise<TestNatsServer> {
  const server = await TestNatsServer.start();
  closers.push(() => server.close());
  return server;
}

function options(server: string, pin: string): ConnectBusOptions {
  return {
    servers: [server],
    nkeySeed: makeNkeys().seed,
    pins: () => [pin],
    name: "test",
    clock: systemClock,
    random: systemRandom,
    log: silentLog,
    reconnectCapMs: 200,
  };
}

/** Remembers statuses, and waits for one. */
class Statuses {
  readonly seen: BusStatus[] = [];
  readonly #waiting = new Set<() => void>();
  readonly note = (status: BusStatus): void => {
    this.seen.push(status);
    for (const look of this.#waiting) look();
  };

  until(wanted: (status: BusStatus) => boolean, from = 0): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        if (!this.seen.slice(from).some(wanted)) return;
        this.#waiting.delete(look);
        resolve();
      };
      this.#waiting.add(look);
      look();
    });
  }
}

/** A broker of the enemy's: TLS or plain, says what it is told to and keeps what it hears. */
async function fakeBroker(
  identities: readonly BrokerIdentity[],
  greeting = "",
): Promise<{
  address: string;
  heard: Buffer[];
  handshakes: () => number;
  ended: () => Promise<void>;
}> {
  const heard: Buffer[] = [];
  let handshakes = 0;
  let open = 0;
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();
  const servers = identities.map((identity) =>
    createTls(
      { cert: identity.certificatePem, key: identity.keyPem, minVersion: "TLSv1.3" },
      (socket) => {
        socket.on("data", (chunk: Buffer) => heard.push(chunk));
        socket.on("error", () => undefined);
        if (greeting !== "") socket.write(greeting);
      },
    ),
  );
  const front = createTcp((socket) => {
    open += 1;
    socket.on("error", () => undefined);
    socket.on("close", () => {
      open -= 1;
      if (open === 0) end();
    });
    const server = servers[Math.min(handshakes, servers.length - 1)];
    handshakes += 1;
    if (server === undefined) {
      socket.on("data", (chunk: Buffer) => heard.push(chunk));
      socket.write(greeting);
    } else server.emit("connection", socket);
  });
  await listening(front);
  closers.push(async () => front.close());
  const { port } = front.address() as AddressInfo;
  return { address: `127.0.0.1:${port}`, heard, handshakes: () => handshakes, ended: () => ended };
}

async function listening(server: Server): Promise<void> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
}

const hello = `INFO ${JSON.stringify({ server_id: "x", version: "2.15.1", proto: 1, headers: true, max_payload: 1048576, nonce: "abc", tls_required: true })}\r\n`;

describe("trust in the broker", () => {
  test("a broker with another key is refused before anything is sent (TM-X-02)", async () => {
    const fake = await fakeBroker([await makeBrokerIdentity()], hello);
    const real = await makeBrokerIdentity();
    const failed = connectBus(options(fake.address, real.pin));
    await expect(failed).rejects.toMatchObject({ code: "BUS_PIN_MISMATCH" });
    expect(Buffer.concat(fake.heard).toString()).toBe("");
  });

  test("a broker that shows the pinned certificate first and another one then gets nothing", async () => {
    const pinned = await makeBrokerIdentity();
    const fake = await fakeBroker([pinned, await makeBrokerIdentity()], hello);
    await expect(connectBus(options(fake.address, pinned.pin))).rejects.toThrow();
    expect(fake.handshakes()).toBe(2);
    expect(Buffer.concat(fake.heard).toString()).toBe("");
  });

  test("pins are asked again on the connection that carries data", async () => {
    const server = await broker();
    let asked = 0;
    const failed = server.connectIssuer({
      pins: () => {
        asked += 1;
        return asked === 1 ? [server.identity.pin] : [];
      },
    });
    await expect(failed).rejects.toMatchObject({ code: "BUS_PIN_MISMATCH" });
    expect(asked).toBe(2);
  });

  test("a broker that begins without TLS gets nothing (TM-X-02)", async () => {
    const fake = await fakeBroker([], hello);
    const failed = connectBus(options(fake.address, (await makeBrokerIdentity()).pin));
    await expect(failed).rejects.toMatchObject({ code: "BUS_UNREACHABLE" });
    expect(Buffer.concat(fake.heard).toString("latin1")).not.toMatch(/CONNECT|SUB|PUB/);
  });

  test("a broker that never greets is left, and its socket closed", async () => {
    const pinned = await makeBrokerIdentity();
    const fake = await fakeBroker([pinned]);
    const impatient = { ...options(fake.address, pinned.pin), handshakeTimeoutMs: 200 };
    await expect(connectBus(impatient)).rejects.toMatchObject({ code: "BUS_TIMEOUT" });
    await fake.ended();
  });

  test("an unknown nkey is refused", async () => {
    const server = await broker();
    const failed = connectBus(options(server.address, server.identity.pin));
    await expect(failed).rejects.toMatchObject({ code: "BUS_REFUSED" });
  });

  test("nobody there is unreachable, and of several servers the one that answers is taken", async () => {
    const server = await broker();
    const gone = createTcp();
    await listening(gone);
    const { port } = gone.address() as AddressInfo;
    await new Promise((resolve) => gone.close(resolve));
    const nobody = `127.0.0.1:${port}`;
    await expect(connectBus(options(nobody, server.identity.pin))).rejects.toMatchObject({
      code: "BUS_UNREACHABLE",
    });
    const connection = await server.connectIssuer({
      servers: [nobody, nobody, `tls://${server.address}`],
    });
    expect(connection.connected()).toBe(true);
  });

  test.for(["", "http://x:1", "user@host:1", "host:1/path", "a b"])(
    "%j is no broker address",
    async (bad) => {
      await expect(connectBus(options(bad, "00"))).rejects.toMatchObject({
        code: "BUS_MISCONFIGURED",
      });
    },
  );
});

describe("a connection that stays", () => {
  test("after SIGKILL and restart subscriptions work again and onConnected fires (ND-20)", async () => {
    const server = await broker();
    const issuer = await server.issuer();
    await issuer.ensure();
    await issuer.serve(async (request) => request.bytes);
    const node = await server.node("aaaa");
    const recorder = new BusRecorder();
    await node.subscribe(recorder);
    await recorder.until("connected");

    const back = Promise.withResolvers<void>();
    const probe = await server.connectIssuer();
    await server.down();
    await recorder.until("disconnected");
    await expect(node.read("bundle.a")).rejects.toMatchObject({ code: "BUS_UNREACHABLE" });
    probe.observe({ onConnected: () => back.resolve() });
    await server.up();
    await recorder.until("connected", 2);
    await issuerConnected(issuer);
    await issuer.put("bundle.a", bytes("after"));
    await recorder.until("bundle.a after");
    await issuer.broadcastHead(testTrustDomain, bytes("after"));
    await recorder.until("head after");
    expect(text(await node.request("sign", bytes("?"), { timeoutMs: 5_000 }))).toBe("?");
    await back.promise;
  });

  test("a broker that comes back with the next pinned key is trusted, with an unpinned one never", async () => {
    const server = await broker();
    const next = await makeBrokerIdentity();
    const pins: string[] = [server.identity.pin];
    const statuses = new Statuses();
    const connection = await server.connectIssuer({
      pins: () => pins,
      onStatus: statuses.note,
      reconnectCapMs: 100,
    });
    await server.down();
    server.identity = next;
    await server.up();
    await statuses.until(
      (status) => status.state === "failing" && status.error.code === "BUS_PIN_MISMATCH",
    );
    expect(connection.connected()).toBe(false);
    expect(() => connection.nats()).toThrow(expect.objectContaining({ code: "BUS_UNREACHABLE" }));
    const from = statuses.seen.length;
    pins.push(next.pin);
    await statuses.until((status) => status.state === "connected", from);
    expect(connection.connected()).toBe(true);
  });

  test("with waitOnFirstConnect it begins unconnected and connects when the broker comes", async () => {
    const server = await broker();
    await server.down();
    const statuses = new Statuses();
    const connection = await server.connectIssuer({
      waitOnFirstConnect: true,
      onStatus: statuses.note,
      reconnectCapMs: 100,
    });
    expect(connection.connected()).toBe(false);
    await server.up();
    await connection.whenConnected(new AbortController().signal);
    expect(connection.connected()).toBe(true);
  });

  test("closing while the broker is away ends at once", async () => {
    const server = await broker();
    const statuses = new Statuses();
    const connection = await server.connectIssuer({ onStatus: statuses.note });
    await server.down();
    await statuses.until((status) => status.state === "disconnected");
    await connection.close();
    await connection.close();
    expect(() => connection.nats()).toThrow(expect.objectContaining({ code: "BUS_CLOSED" }));
  });

  test("a listener that throws breaks nothing", async () => {
    const server = await broker();
    const issuer = await server.issuer();
    const recorder = new BusRecorder();
    const node = await server.node("aaaa");
    await node.subscribe({
      onHead: () => {
        throw new Error("on purpose");
      },
      onObject: () => undefined,
      onConnected: () => {
        throw new Error("on purpose");
      },
      onDisconnected: () => undefined,
    });
    await node.subscribe(recorder);
    await issuer.broadcastHead(testTrustDomain, bytes("one"));
    await issuer.broadcastHead(testTrustDomain, bytes("two"));
    await recorder.until("head two");
  });
});

async function issuerConnected(issuer: { connected(): boolean }): Promise<void> {
  while (!issuer.connected()) await new Promise((resolve) => setImmediate(resolve));
}
