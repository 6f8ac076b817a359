import type { Socket } from "node:net";
import {
  connect,
  createInbox,
  type NatsConnection,
  nkeyAuthenticator,
} from "@nats-io/transport-node";
import { type Clock, pause } from "../../kit/clock.ts";
import { reasonOf } from "../../kit/errors.ts";
import type { Log } from "../../kit/log.ts";
import type { Random } from "../../kit/random.ts";
import type { Service } from "../bus.ts";
import { EventsError } from "../error.ts";
import {
  askForCertificate,
  type BrokerAddress,
  openSocket,
  parseBrokerAddress,
  printed,
  trustOnly,
} from "./broker-trust.ts";
import { failure } from "./failures.ts";
import { type Listening, LiveListening } from "./listening.ts";

/** How to reach the broker, and what to trust. */
export interface ConnectBusOptions {
  /** `host:port`, with or without `tls://`; tried in turn from a random one on. Servers that the broker advertises are ignored: it could steer nodes (threat model section 8.3). */
  readonly servers: readonly string[];
  /** `SU...` */
  readonly nkeySeed: string;
  /** SHA-256 of the SubjectPublicKeyInfo of each trusted broker key, lower-case hex; asked at every handshake, so a rotation is seen at the next one. */
  readonly pins: () => readonly string[];
  /** Shown in the broker's own connection list. */
  readonly name: string;
  /** Defaults to `_INBOX`, which the permissions that Herald writes do not allow. */
  readonly inboxPrefix?: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly onStatus?: (status: BusStatus) => void;
  /** Keep trying when the first try fails, and resolve at once, unconnected. Defaults to false. */
  readonly waitOnFirstConnect?: boolean;
  /** How long each step of a handshake may take. Defaults to 5,000 ms. */
  readonly handshakeTimeoutMs?: number;
  /** Longest wait between two tries. Defaults to 5,000 ms. */
  readonly reconnectCapMs?: number;
}

/** What the connection just did. */
export type BusStatus =
  | { readonly state: "connected"; readonly server: string }
  | { readonly state: "disconnected" }
  | { readonly state: "failing"; readonly error: EventsError };

/** A connection that stays: it dials again for ever, and takes its subscriptions along. */
export interface BusConnection {
  connected(): boolean;
  /** The living connection of the moment. @throws EventsError BUS_UNREACHABLE, BUS_CLOSED */
  nats(): NatsConnection;
  /** A reply subject of our own that nobody has used. */
  freshInbox(): string;
  /** Subscribes now and after every reconnect; resolves when the broker knows, or at once while disconnected. Closing it drains. */
  listen(listening: Listening): Promise<Service>;
  /** Calls back when all subscriptions stand (at once if they do), after each reconnect, and at each loss. Returns how to stop it. */
  observe(observer: ConnectionObserver): () => void;
  /** Resolves when connected. @throws EventsError BUS_CLOSED; and when `signal` aborts, resolves too */
  whenConnected(signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

/** Who wants to know of gains and losses. */
interface ConnectionObserver {
  readonly onConnected?: () => void;
  readonly onDisconnected?: () => void;
}

// A dead peer is known after three of these; the default of 2 minutes is longer than a head's life (protocol.md).
const pingIntervalMs = 5_000;
const firstRetryMs = 100;
const drainMs = 2_000;

/**
 * Connects by TLS to a broker whose key is pinned. @throws EventsError BUS_PIN_MISMATCH, BUS_REFUSED, BUS_UNREACHABLE,
 * BUS_TIMEOUT, BUS_MISCONFIGURED: the most telling of what the servers answered
 */
export async function connectBus(options: ConnectBusOptions): Promise<BusConnection> {
  const connection = new ReconnectingConnection(options);
  await connection.start();
  return connection;
}

// nats.js' own reconnect is off: its trust (`ca`) cannot be asked for anew between two tries, so a broker's new key would lock
// us out, and its wait cannot be a series of tries.
class ReconnectingConnection implements BusConnection {
  readonly #options: ConnectBusOptions;
  readonly #servers: readonly BrokerAddress[];
  /** Certificates seen and found pinned, so that a reconnect needs one handshake only. */
  readonly #known = new Map<BrokerAddress, Parameters<typeof trustOnly>[0]>();
  readonly #listenings = new Set<LiveListening>();
  readonly #observers = new Set<ConnectionObserver>();
  readonly #closing = new AbortController();
  #next: number;
  #current: NatsConnection | undefined;
  #standing = false;
  #lastFailure = "";
  #maintained: Promise<void> = Promise.resolve();

  constructor(options: ConnectBusOptions) {
    this.#options = options;
    this.#servers = options.servers.map(parseBrokerAddress);
    if (this.#servers.length === 0) {
      throw new EventsError("BUS_MISCONFIGURED", "no broker address is given: name at least one");
    }
    this.#next = Math.floor(options.random.fraction() * this.#servers.length);
  }

  async start(): Promise<void> {
    let worst: EventsError | undefined;
    for (let tries = 0; tries < this.#servers.length && !this.#standing; tries += 1) {
      const error = await this.#attempt();
      if (error !== undefined) worst = moreTelling(worst, error);
    }
    if (!this.#standing && this.#options.waitOnFirstConnect !== true && worst !== undefined) {
      throw worst;
    }
    this.#maintained = this.#maintain();
  }

  connected(): boolean {
    return this.#standing;
  }

  nats(): NatsConnection {
    if (this.#closed()) {
      throw new EventsError("BUS_CLOSED", "this bus was closed; open another one");
    }
    if (this.#current === undefined) {
      throw new EventsError(
        "BUS_UNREACHABLE",
        `not connected to the broker${this.#lastFailure === "" ? "" : ` (${this.#lastFailure})`}; Herald keeps trying`,
      );
    }
    return this.#current;
  }

  freshInbox(): string {
    return createInbox(this.#options.inboxPrefix);
  }

  async listen(listening: Listening): Promise<Service> {
    const live = new LiveListening(listening, this.#options.log);
    this.#listenings.add(live);
    const nats = this.#current;
    if (nats !== undefined) {
      live.attach(nats);
      // If it breaks here the reconnect subscribes again.
      await nats.flush().catch(() => undefined);
    }
    return {
      close: async () => {
        this.#listenings.delete(live);
        await live.drain();
      },
    };
  }

  observe(observer: ConnectionObserver): () => void {
    this.#observers.add(observer);
    if (this.#standing) this.#tell(() => observer.onConnected?.());
    return () => {
      this.#observers.delete(observer);
    };
  }

  whenConnected(signal: AbortSignal): Promise<void> {
    if (this.#standing || signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        stop();
        signal.removeEventListener("abort", done);
        this.#closing.signal.removeEventListener("abort", done);
        resolve();
      };
      const stop = this.observe({ onConnected: done });
      signal.addEventListener("abort", done);
      this.#closing.signal.addEventListener("abort", done);
    });
  }

  async close(): Promise<void> {
    this.#closing.abort();
    const nats = this.#current;
    if (nats !== undefined && !nats.isClosed()) {
      const drained = nats.drain().catch(() => undefined);
      await Promise.race([drained, nats.closed(), pause(this.#options.clock, drainMs)]);
      await nats.close();
    }
    await this.#maintained;
  }

  async #maintain(): Promise<void> {
    while (!this.#closed()) {
      if (this.#current !== undefined) {
        await this.#current.closed();
        this.#lost();
      }
      await this.#dialUntilConnected();
    }
  }

  #lost(): void {
    this.#current = undefined;
    if (!this.#standing) return;
    this.#standing = false;
    if (!this.#closed()) {
      this.#options.log.warn({ name: this.#options.name }, "lost the broker; reconnecting");
    }
    this.#status({ state: "disconnected" });
    for (const observer of this.#observers) this.#tell(() => observer.onDisconnected?.());
  }

  async #dialUntilConnected(): Promise<void> {
    const { clock, random, reconnectCapMs = 5_000 } = this.#options;
    // Full jitter (ND-24): a fleet that lost its broker together must not come back together. The first try comes within 100 ms,
    // as most losses are a restart or a move to the next server.
    for (let tries = 0; !this.#closed() && !this.#standing; tries += 1) {
      const longest = Math.min(reconnectCapMs, firstRetryMs * 2 ** Math.min(tries, 20));
      await pause(clock, random.fraction() * longest, this.#closing.signal);
      if (!this.#closed()) await this.#attempt();
    }
  }

  /** One try at the next server; resolves to why it failed. */
  async #attempt(): Promise<EventsError | undefined> {
    const server = this.#servers[this.#next % this.#servers.length];
    this.#next += 1;
    if (server === undefined) return undefined;
    try {
      await this.#adopt(await this.#dial(server), server);
      return undefined;
    } catch (thrown) {
      const error = failure(thrown, { what: `connect to ${printed(server)}` });
      this.#known.delete(server);
      this.#current = undefined;
      const { log, name } = this.#options;
      const told = this.#lastFailure === error.code;
      log[told ? "debug" : "warn"](
        { name, code: error.code, reason: reasonOf(error) },
        "cannot connect",
      );
      this.#lastFailure = error.code;
      this.#status({ state: "failing", error });
      return error;
    }
  }

  async #dial(server: BrokerAddress): Promise<NatsConnection> {
    const { clock, pins, nkeySeed, name, inboxPrefix, handshakeTimeoutMs = 5_000 } = this.#options;
    const dial = { clock, timeoutMs: handshakeTimeoutMs };
    const certificate = this.#known.get(server) ?? (await askForCertificate(server, pins(), dial));
    const socket: Socket = await openSocket(server, dial);
    try {
      const tls = { ...trustOnly(certificate, pins, server), handshakeFirst: true, socket };
      const nats = await connect({
        servers: [printed(server)],
        resolve: false,
        name,
        ...(inboxPrefix === undefined ? {} : { inboxPrefix }),
        authenticator: nkeyAuthenticator(new TextEncoder().encode(nkeySeed)),
        tls,
        reconnect: false,
        ignoreClusterUpdates: true,
        timeout: handshakeTimeoutMs,
        pingInterval: pingIntervalMs,
        maxPingOut: 2,
        noAsyncTraces: true,
      });
      this.#known.set(server, certificate);
      return nats;
    } catch (thrown) {
      socket.destroy();
      throw thrown;
    }
  }

  async #adopt(nats: NatsConnection, server: BrokerAddress): Promise<void> {
    this.#current = nats;
    void this.#logErrors(nats);
    for (const listening of this.#listenings) listening.attach(nats);
    await nats.flush();
    if (this.#closed()) {
      await nats.close();
      return;
    }
    this.#standing = true;
    this.#lastFailure = "";
    this.#options.log.info({ name: this.#options.name, server: printed(server) }, "connected");
    this.#status({ state: "connected", server: printed(server) });
    for (const observer of this.#observers) this.#tell(() => observer.onConnected?.());
  }

  async #logErrors(nats: NatsConnection): Promise<void> {
    for await (const status of nats.status()) {
      if (status.type === "error") {
        const { log, name } = this.#options;
        log.warn({ name, reason: reasonOf(status.error) }, "the broker reported an error");
      }
    }
  }

  #closed(): boolean {
    return this.#closing.signal.aborted;
  }

  #status(status: BusStatus): void {
    this.#tell(() => this.#options.onStatus?.(status));
  }

  #tell(run: () => void): void {
    try {
      run();
    } catch (thrown) {
      this.#options.log.error({ reason: reasonOf(thrown) }, "a connection observer threw");
    }
  }
}

/** A wrong key says more than a refusal, and that more than silence. */
function moreTelling(one: EventsError | undefined, other: EventsError): EventsError {
  const order = ["BUS_PIN_MISMATCH", "BUS_REFUSED", "BUS_MISCONFIGURED", "BUS_TIMEOUT"];
  const rank = (error: EventsError): number => {
    const found = order.indexOf(error.code);
    return found === -1 ? order.length : found;
  };
  return one !== undefined && rank(one) <= rank(other) ? one : other;
}
