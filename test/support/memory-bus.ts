import type {
  BusEvent,
  IssuerBus,
  LogMessage,
  NodeBus,
  NodeListener,
  ReadAuditOptions,
  RequestHandler,
  RequestKind,
  Service,
  TailOptions,
} from "../../src/events/bus.ts";
import { EventsError } from "../../src/events/error.ts";
import {
  auditSubject,
  eventSubject,
  headSubject,
  maxObjectBytes,
  nodeSubscriptions,
  parseKey,
} from "../../src/events/subjects.ts";
import { MemoryBroker, type MemoryBusOptions } from "./memory-bus-broker.ts";
import type { MemoryFaults } from "./memory-bus-faults.ts";

/**
 * A bus in memory with the promises of the real one, and a broker's malice at hand (`faults`). It keeps no time: a request that is
 * lost rejects with BUS_TIMEOUT at the next step of the schedule, whatever its `timeoutMs`.
 */
export class MemoryBus {
  readonly #broker: MemoryBroker;

  constructor(options: MemoryBusOptions) {
    this.#broker = new MemoryBroker(options);
  }

  /** What the broker does to its users. */
  get faults(): MemoryFaults {
    return this.#broker.faults;
  }

  /** A new issuer process, which knows no revisions yet. `name` is for the faults; defaults to "issuer". */
  issuer(name = "issuer"): IssuerBus {
    return new MemoryIssuerBus(this.#broker, name);
  }

  /** A new node process; `node` is its token, and its name for the faults. */
  node(node: string): NodeBus {
    return new MemoryNodeBus(this.#broker, node);
  }
}

class MemoryIssuerBus implements IssuerBus {
  readonly #bus: MemoryBroker;
  readonly #name: string;
  readonly #revisions = new Map<string, number>();
  readonly #unsure = new Map<string, Uint8Array>();
  readonly #chains = new Map<string, number>();
  readonly #services = new Set<Service>();
  readonly #closing = new AbortController();

  constructor(bus: MemoryBroker, name: string) {
    this.#bus = bus;
    this.#name = name;
  }

  async put(key: string, bytes: Uint8Array): Promise<void> {
    parseKey(key);
    checkSize(bytes);
    await this.#reach();
    const newest = this.#bus.newest(key);
    const repeated = this.#unsure.get(key);
    // Our own write whose acknowledgement was lost is told from a rival's by its bytes, as in the real one.
    if (repeated !== undefined && newest !== undefined && same(newest.bytes, repeated)) {
      this.#revisions.set(key, newest.revision);
      this.#unsure.delete(key);
      if (same(repeated, bytes)) return;
    }
    const revision = this.#bus.put(key, bytes, this.#revisions.get(key) ?? 0);
    if (this.#bus.losesAck(this.#name)) {
      this.#unsure.set(key, bytes);
      throw new EventsError("BUS_TIMEOUT", `the acknowledgement of ${key} was lost`);
    }
    this.#revisions.set(key, revision);
  }

  async loadAll(): Promise<ReadonlyMap<string, Uint8Array>> {
    await this.#reach();
    const objects = new Map<string, Uint8Array>();
    this.#revisions.clear();
    this.#unsure.clear();
    for (const key of this.#bus.keys()) {
      this.#revisions.set(key, this.#bus.newest(key)?.revision ?? 0);
      const bytes = this.#bus.shown(this.#name, key);
      if (bytes !== undefined) objects.set(key, bytes.slice());
    }
    return objects;
  }

  async broadcastHead(trustDomain: string, bytes: Uint8Array): Promise<void> {
    await this.#reach();
    this.#bus.broadcast(headSubject(trustDomain), bytes);
  }

  async serve(handler: RequestHandler): Promise<Service> {
    await this.#reach();
    const running = new Set<Promise<Uint8Array | undefined>>();
    const stop = this.#bus.serve(this.#name, (request) => {
      const answer = handler(request);
      running.add(answer);
      const ended = (): boolean => running.delete(answer);
      answer.then(ended, ended);
      return answer;
    });
    const service: Service = {
      close: async () => {
        stop();
        this.#services.delete(service);
        await Promise.allSettled(running);
      },
    };
    this.#services.add(service);
    return service;
  }

  async appendAudit(issuer: string, bytes: Uint8Array): Promise<void> {
    const subject = auditSubject(issuer);
    checkSize(bytes);
    await this.#reach();
    const log = this.#bus.log("audit");
    const last = log.last(subject);
    const found = last?.sequence ?? 0;
    const expected = this.#chains.get(subject) ?? found;
    const own = this.#unsure.get(subject);
    if (found !== expected && (own === undefined || last === undefined || !same(last.bytes, own))) {
      throw new EventsError("BUS_CONFLICT", `${subject} was continued by somebody else`);
    }
    this.#chains.set(subject, found);
    this.#unsure.delete(subject);
    if (found !== expected && own !== undefined && same(own, bytes)) return;
    const sequence = log.append(subject, bytes);
    if (this.#bus.losesAck(this.#name)) {
      this.#unsure.set(subject, bytes);
      throw new EventsError("BUS_TIMEOUT", `the acknowledgement of ${subject} was lost`);
    }
    this.#chains.set(subject, sequence);
  }

  async lastAudit(issuer: string): Promise<LogMessage | undefined> {
    const subject = auditSubject(issuer);
    await this.#reach();
    const last = this.#bus.log("audit").last(subject);
    this.#chains.set(subject, last?.sequence ?? 0);
    return last;
  }

  async publishEvent(event: BusEvent): Promise<void> {
    const subject = eventSubject(event.type, this.#bus.trustDomain);
    checkSize(event.bytes);
    await this.#reach();
    if (this.#bus.fresh(event.id)) this.#bus.log("evt").append(subject, event.bytes);
  }

  tailEvents(options: TailOptions): AsyncIterable<LogMessage> {
    return this.#bus.log("evt").tail(this.#untilClosed(options));
  }

  tailAudit(options: TailOptions): AsyncIterable<LogMessage> {
    return this.#bus.log("audit").tail(this.#untilClosed(options));
  }

  async *readAudit(options: ReadAuditOptions): AsyncGenerator<LogMessage, void, undefined> {
    const subject = auditSubject(options.issuer);
    await this.#reach();
    const held = this.#bus.log("audit").messages.slice();
    for (const message of held) {
      if (options.signal.aborted) return;
      if (message.sequence >= options.from && message.subject === subject) yield message;
    }
  }

  async ensure(): Promise<readonly never[]> {
    await this.#reach();
    return [];
  }

  async doctor(): Promise<readonly never[]> {
    await this.#reach();
    return [];
  }

  connected(): boolean {
    return !this.#closing.signal.aborted && this.#bus.linked(this.#name);
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.all([...this.#services].map((service) => service.close()));
  }

  #untilClosed(options: TailOptions): TailOptions {
    return { ...options, signal: AbortSignal.any([options.signal, this.#closing.signal]) };
  }

  // A step of the schedule passes before each effect, as on a wire.
  async #reach(): Promise<void> {
    await Promise.resolve();
    if (this.#closing.signal.aborted) throw new EventsError("BUS_CLOSED", "this bus was closed");
    this.#bus.reachable(this.#name);
  }
}

class MemoryNodeBus implements NodeBus {
  readonly #bus: MemoryBroker;
  readonly #node: string;
  readonly #services = new Set<Service>();
  #closed = false;

  constructor(bus: MemoryBroker, node: string) {
    this.#bus = bus;
    this.#node = node;
  }

  async read(key: string): Promise<Uint8Array | undefined> {
    const { family } = parseKey(key);
    if (!family.forNodes) throw new EventsError("BUS_BAD_KEY", `${key} is for issuers only`);
    await this.#reach();
    return this.#bus.shown(this.#node, key)?.slice();
  }

  async subscribe(listener: NodeListener): Promise<Service> {
    const head = headSubject(this.#bus.trustDomain);
    const stop = this.#bus.listen({
      member: this.#node,
      subjects: nodeSubscriptions(this.#node, this.#bus.trustDomain),
      deliver: (subject, bytes) => {
        if (subject === head) listener.onHead(bytes);
        else listener.onObject(subject.slice("herald.v1.kv.".length), bytes);
      },
    });
    const leave = this.#bus.join({
      name: this.#node,
      onState: (connected) => (connected ? listener.onConnected() : listener.onDisconnected()),
    });
    const service: Service = {
      close: async () => {
        stop();
        leave();
        this.#services.delete(service);
      },
    };
    this.#services.add(service);
    await Promise.resolve();
    if (this.connected()) listener.onConnected();
    return service;
  }

  async request(kind: RequestKind, bytes: Uint8Array): Promise<Uint8Array> {
    await this.#reach();
    return await this.#bus.request({ kind, node: this.#node, bytes });
  }

  connected(): boolean {
    return !this.#closed && this.#bus.linked(this.#node);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#services].map((service) => service.close()));
  }

  async #reach(): Promise<void> {
    await Promise.resolve();
    if (this.#closed) throw new EventsError("BUS_CLOSED", "this bus was closed");
    this.#bus.reachable(this.#node);
  }
}

function checkSize(bytes: Uint8Array): void {
  if (bytes.length > maxObjectBytes) throw new EventsError("BUS_TOO_LARGE", "too many bytes");
}

function same(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.compare(one, other) === 0;
}
