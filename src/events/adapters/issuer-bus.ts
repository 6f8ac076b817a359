import type { Msg } from "@nats-io/transport-node";
import type { Clock } from "../../kit/clock.ts";
import { reasonOf } from "../../kit/errors.ts";
import type { Log } from "../../kit/log.ts";
import type {
  BusEvent,
  Drift,
  Finding,
  IssuerBus,
  LogMessage,
  ReadAuditOptions,
  RequestHandler,
  Service,
  TailOptions,
} from "../bus.ts";
import {
  auditStream,
  auditSubject,
  bucketStream,
  buckets,
  eventsStream,
  headSubject,
  issuerQueue,
  keyOfStored,
  nodeInboxPrefix,
  parseKey,
  parseRequestSubject,
  requestFilter,
  requestKinds,
  storedSubject,
} from "../subjects.ts";
import type { BusConnection } from "./connection.ts";
import { examine } from "./doctor.ts";
import { EventPublisher } from "./event-publisher.ts";
import { failure } from "./failures.ts";
import { LinearWrites } from "./linear-writes.ts";
import { checkSize } from "./object-size.ts";
import { messagesOf, newestMessage, newestOfEach, type StoredMessage } from "./stored-messages.ts";
import { ensureStreams, type StreamOptions } from "./streams.ts";
import { tail } from "./tail.ts";

/** What an issuer's bus is made of. */
export interface IssuerBusOptions {
  /** Opened with the issuers' nkey and `issuerInboxPrefix`; closed by `close()`. */
  readonly connection: BusConnection;
  /** Whose events these are. */
  readonly trustDomain: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly streams?: StreamOptions;
  /** How long a write waits for its acknowledgement. Defaults to 5,000 ms. */
  readonly ackTimeoutMs?: number;
}

/** The issuer's face of the bus over NATS JetStream. */
export function createIssuerBus(options: IssuerBusOptions): IssuerBus {
  return new NatsIssuerBus(options);
}

class NatsIssuerBus implements IssuerBus {
  readonly #options: IssuerBusOptions;
  readonly #connection: BusConnection;
  readonly #writes: LinearWrites;
  readonly #events: EventPublisher;
  readonly #closing = new AbortController();
  readonly #services = new Set<Service>();

  constructor(options: IssuerBusOptions) {
    this.#options = options;
    this.#connection = options.connection;
    const timeoutMs = options.ackTimeoutMs ?? 5_000;
    this.#writes = new LinearWrites({ nats: () => options.connection.nats(), timeoutMs });
    this.#events = new EventPublisher({ ...options, timeoutMs });
  }

  async put(key: string, bytes: Uint8Array): Promise<void> {
    const stream = bucketStream(parseKey(key).family.bucket);
    checkSize(bytes, key);
    await this.#writes.write({
      stream,
      subject: storedSubject(key),
      bytes,
      continues: false,
      what: `write ${key}`,
    });
  }

  async loadAll(): Promise<ReadonlyMap<string, Uint8Array>> {
    const mark = this.#writes.mark();
    const what = "load the state";
    const loaded = await Promise.all(buckets.map((bucket) => this.#loadBucket(bucket.name))).catch(
      (thrown: unknown) => {
        throw failure(thrown, { what });
      },
    );
    const objects = new Map<string, Uint8Array>();
    const seen = new Set<string>();
    for (const message of loaded.flat()) {
      this.#writes.learn(message.subject, message.sequence, mark);
      seen.add(message.subject);
      const key = keyOfStored(message.subject);
      if (key !== undefined && !message.deleted) objects.set(key, message.bytes);
    }
    this.#writes.forgetUnseen("$KV.", seen, mark);
    return objects;
  }

  async broadcastHead(trustDomain: string, bytes: Uint8Array): Promise<void> {
    await this.#attempt("broadcast a head", async () => {
      const nats = this.#connection.nats();
      nats.publish(headSubject(trustDomain), bytes);
      await nats.flush();
    });
  }

  async serve(handler: RequestHandler): Promise<Service> {
    const running = new Set<Promise<void>>();
    const onMessage = (message: Msg): void => {
      const answered = this.#answer(message, handler).finally(() => running.delete(answered));
      running.add(answered);
    };
    const listenings = await Promise.all(
      requestKinds.map((kind) =>
        this.#connection.listen({ subject: requestFilter(kind), queue: issuerQueue, onMessage }),
      ),
    );
    const service: Service = {
      close: async () => {
        this.#services.delete(service);
        await Promise.all(listenings.map((listening) => listening.close()));
        await Promise.all(running);
      },
    };
    this.#services.add(service);
    return service;
  }

  async appendAudit(issuer: string, bytes: Uint8Array): Promise<void> {
    const subject = auditSubject(issuer);
    checkSize(bytes, subject);
    await this.#writes.write({
      stream: auditStream,
      subject,
      bytes,
      continues: true,
      what: `record in ${subject}`,
    });
  }

  async lastAudit(issuer: string): Promise<LogMessage | undefined> {
    const subject = auditSubject(issuer);
    const mark = this.#writes.mark();
    const newest = await this.#attempt(`read the end of ${subject}`, () =>
      newestMessage(this.#connection.nats(), { stream: auditStream, subject }),
    );
    this.#writes.learn(subject, newest?.sequence ?? 0, mark);
    return newest;
  }

  publishEvent(event: BusEvent): Promise<void> {
    return this.#events.publish(event);
  }

  tailEvents(options: TailOptions): AsyncIterable<LogMessage> {
    return this.#tail(eventsStream, options);
  }

  tailAudit(options: TailOptions): AsyncIterable<LogMessage> {
    return this.#tail(auditStream, options);
  }

  async *readAudit(options: ReadAuditOptions): AsyncGenerator<LogMessage, void, undefined> {
    const subject = auditSubject(options.issuer);
    const { clock } = this.#options;
    const connection = this.#connection;
    try {
      yield* messagesOf({ connection, stream: auditStream, clock, subject, ...options });
    } catch (thrown) {
      throw failure(thrown, { what: `read ${subject}` });
    }
  }

  ensure(): Promise<readonly Drift[]> {
    return this.#attempt("make the streams", () =>
      ensureStreams(this.#connection.nats(), this.#options.streams ?? {}),
    );
  }

  doctor(): Promise<readonly Finding[]> {
    return examine(this.#connection, this.#options.streams ?? {});
  }

  connected(): boolean {
    return this.#connection.connected();
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.all([...this.#services].map((service) => service.close()));
    this.#events.close();
    await this.#connection.close();
  }

  async #loadBucket(bucket: string): Promise<readonly StoredMessage[]> {
    const { clock } = this.#options;
    const stream = bucketStream(bucket);
    return [...(await newestOfEach({ connection: this.#connection, stream, clock })).values()];
  }

  #tail(stream: string, options: TailOptions): AsyncIterable<LogMessage> {
    const { clock, log } = this.#options;
    const signal = AbortSignal.any([options.signal, this.#closing.signal]);
    return tail({ ...options, signal, connection: this.#connection, stream, clock, log });
  }

  async #answer(message: Msg, handler: RequestHandler): Promise<void> {
    const parsed = parseRequestSubject(message.subject);
    if (parsed === undefined) return;
    // NATS lets a node name any reply subject, and we may publish where it may not: an answer to `$KV.HB_BUNDLE.x` would overwrite
    // that object in our name. So answers go to the inbox of the node that the subject vouches for and nowhere else.
    if (message.reply?.startsWith(`${nodeInboxPrefix(parsed.node)}.`) !== true) {
      this.#options.log.warn(
        { ...parsed, reply: message.reply },
        "a request wants its answer elsewhere; ignored",
      );
      return;
    }
    try {
      const answer = await handler({ ...parsed, bytes: message.data });
      if (answer !== undefined) message.respond(answer);
    } catch (thrown) {
      // The caller retries; an unsigned error would tell it nothing that it may believe.
      this.#options.log.error({ ...parsed, reason: reasonOf(thrown) }, "a request failed");
    }
  }

  async #attempt<Result>(what: string, run: () => Promise<Result>): Promise<Result> {
    try {
      return await run();
    } catch (thrown) {
      throw failure(thrown, { what });
    }
  }
}
