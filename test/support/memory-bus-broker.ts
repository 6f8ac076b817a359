import type { BusRequest, LogMessage, RequestHandler, TailOptions } from "../../src/events/bus.ts";
import { EventsError } from "../../src/events/error.ts";
import { parseKey, republishedSubject, requestSubject } from "../../src/events/subjects.ts";
import { type MemoryFaults, type Passage, Weather } from "./memory-bus-faults.ts";

/** One value of a key. */
export interface Stored {
  readonly revision: number;
  readonly bytes: Uint8Array;
}

interface Member {
  readonly name: string;
  readonly onState: (connected: boolean) => void;
}

interface Subscription {
  readonly member: string;
  readonly subjects: readonly string[];
  readonly deliver: (subject: string, bytes: Uint8Array) => void;
}

/** How a memory bus is made. */
export interface MemoryBusOptions {
  readonly trustDomain: string;
  /** Runs a delivery later, in any order it likes. Defaults to microtasks, in order. */
  readonly schedule?: (run: () => void) => void;
}

/** The broker of a memory bus: what it stores, who listens, and what its faults make of it. */
export class MemoryBroker {
  readonly trustDomain: string;
  readonly #weather: Weather;
  /** All values that a key ever had, oldest first. */
  readonly #objects = new Map<string, Stored[]>();
  readonly #logs = { evt: new MemoryLog(), audit: new MemoryLog() };
  readonly #subscriptions = new Set<Subscription>();
  readonly #members = new Set<Member>();
  readonly #servers: { readonly member: string; readonly handler: RequestHandler }[] = [];
  readonly #eventIds = new Set<string>();
  #revision = 0;
  #turn = 0;

  constructor(options: MemoryBusOptions) {
    this.trustDomain = options.trustDomain;
    this.#weather = new Weather(options.schedule ?? queueMicrotask, {
      onLink: (member, connected) => {
        for (const each of this.#members) if (each.name === member) each.onState(connected);
      },
      rollback: (key, steps) => this.#rollback(key, steps),
      forge: (key, bytes) => this.#store(key, bytes),
      destroy: () => {
        this.#objects.clear();
        this.#revision = 0;
      },
    });
  }

  /** What the broker does to its users. */
  get faults(): MemoryFaults {
    return this.#weather;
  }

  /** @throws EventsError BUS_UNREACHABLE */
  reachable(member: string): void {
    if (this.#weather.linked(member)) return;
    throw new EventsError("BUS_UNREACHABLE", `${member} is cut off in this test`);
  }

  linked(member: string): boolean {
    return this.#weather.linked(member);
  }

  newest(key: string): Stored | undefined {
    return this.#objects.get(key)?.at(-1);
  }

  /** What a reader is shown, which a broker chooses. */
  shown(member: string, key: string): Uint8Array | undefined {
    const bytes = this.newest(key)?.bytes;
    if (bytes === undefined) return undefined;
    return this.#weather.altered({ to: member, subject: `read ${key}`, bytes })[0];
  }

  keys(): readonly string[] {
    return [...this.#objects.keys()];
  }

  /** Stores if `expected` is the newest revision. */
  put(key: string, bytes: Uint8Array, expected: number): number {
    const found = this.newest(key)?.revision ?? 0;
    if (found !== expected) {
      throw new EventsError("BUS_CONFLICT", `${key} is at revision ${found}, not ${expected}`);
    }
    this.#store(key, bytes);
    if (parseKey(key).family.forNodes) this.broadcast(republishedSubject(key), bytes);
    return this.newest(key)?.revision ?? 0;
  }

  broadcast(subject: string, bytes: Uint8Array): void {
    for (const subscription of this.#subscriptions) {
      if (!subscription.subjects.some((filter) => matches(filter, subject))) continue;
      const passage: Passage = { to: subscription.member, subject, bytes: bytes.slice() };
      this.#weather.deliver(passage, (delivered) => {
        const there = this.#subscriptions.has(subscription);
        if (there && this.linked(subscription.member)) subscription.deliver(subject, delivered);
      });
    }
  }

  listen(subscription: Subscription): () => void {
    this.#subscriptions.add(subscription);
    return () => {
      this.#subscriptions.delete(subscription);
    };
  }

  join(member: Member): () => void {
    this.#members.add(member);
    return () => {
      this.#members.delete(member);
    };
  }

  serve(member: string, handler: RequestHandler): () => void {
    const server = { member, handler };
    this.#servers.push(server);
    return () => {
      const at = this.#servers.indexOf(server);
      if (at !== -1) this.#servers.splice(at, 1);
    };
  }

  /** One issuer of the group answers; who is decided by turns. Both ways pass through the faults. */
  request(asked: BusRequest): Promise<Uint8Array> {
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
    this.#turn += 1;
    const there = this.#servers.filter((server) => this.linked(server.member));
    const server = there[this.#turn % Math.max(1, there.length)];
    const lost = (): void => reject(new EventsError("BUS_TIMEOUT", `${asked.kind} got no answer`));
    if (server === undefined) {
      return Promise.reject(new EventsError("BUS_NO_ISSUER", "no issuer serves this memory bus"));
    }
    const subject = requestSubject(asked.kind, asked.node);
    const asking: Passage = { to: server.member, subject, bytes: asked.bytes.slice() };
    const serve = (bytes: Uint8Array): void => {
      server.handler({ ...asked, bytes }).then((answer) => {
        if (answer === undefined) {
          lost();
          return;
        }
        const back: Passage = { to: asked.node, subject: "reply", bytes: answer.slice() };
        this.#weather.deliver(
          back,
          (delivered) => (this.linked(asked.node) ? resolve(delivered) : lost()),
          lost,
        );
      }, lost);
    };
    this.#weather.deliver(asking, serve, lost);
    return promise;
  }

  log(which: "evt" | "audit"): MemoryLog {
    return this.#logs[which];
  }

  /** Whether an event id is new; remembers it. */
  fresh(id: string): boolean {
    if (this.#eventIds.has(id)) return false;
    this.#eventIds.add(id);
    return true;
  }

  /** Whether the next acknowledgement to `member` gets lost (see `faults.loseAcks`). */
  losesAck(member: string): boolean {
    return this.#weather.losesAck(member);
  }

  #store(key: string, bytes: Uint8Array): void {
    this.#revision += 1;
    const values = this.#objects.get(key) ?? [];
    values.push({ revision: this.#revision, bytes: bytes.slice() });
    this.#objects.set(key, values);
  }

  #rollback(key: string, steps: number): void {
    const values = this.#objects.get(key) ?? [];
    const older = values.at(-1 - steps);
    if (older !== undefined) this.#store(key, older.bytes);
  }
}

/** One append-only log. */
export class MemoryLog {
  readonly messages: LogMessage[] = [];
  readonly #waiting = new Set<() => void>();

  append(subject: string, bytes: Uint8Array): number {
    const sequence = this.messages.length + 1;
    this.messages.push({ sequence, subject, bytes: bytes.slice() });
    for (const wake of this.#waiting) wake();
    return sequence;
  }

  last(subject: string): LogMessage | undefined {
    return this.messages.findLast((message) => message.subject === subject);
  }

  async *tail(options: TailOptions): AsyncGenerator<LogMessage, void, undefined> {
    let next = options.since ?? this.messages.length + 1;
    if (next > this.messages.length + 1) {
      throw new EventsError("BUS_GAP", `the log ends at ${this.messages.length}`);
    }
    while (!options.signal.aborted) {
      const message = this.messages[Math.max(0, next - 1)];
      if (message === undefined) {
        await this.#grown(options.signal);
      } else {
        next = message.sequence + 1;
        yield message;
      }
    }
  }

  #grown(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#waiting.delete(wake);
        signal.removeEventListener("abort", wake);
        resolve();
      };
      this.#waiting.add(wake);
      signal.addEventListener("abort", wake);
    });
  }
}

/** NATS subject matching: `*` is one token, `>` is the rest and at least one. */
function matches(filter: string, subject: string): boolean {
  const wanted = filter.split(".");
  const tokens = subject.split(".");
  const open = wanted.at(-1) === ">";
  const fixed = open ? wanted.slice(0, -1) : wanted;
  if (open ? tokens.length < wanted.length : tokens.length !== wanted.length) return false;
  return fixed.every((token, at) => token === "*" || token === tokens[at]);
}
