import { JetStreamApiError } from "@nats-io/jetstream";
import { errors, type Msg, type NatsConnection } from "@nats-io/transport-node";
import type { Clock, Timer } from "../../kit/clock.ts";
import type { BusEvent } from "../bus.ts";
import { EventsError } from "../error.ts";
import { eventSubject, eventsStream } from "../subjects.ts";
import type { BusConnection } from "./connection.ts";
import { checkEventId, EventHeaders } from "./event-headers.ts";
import { failure } from "./failures.ts";
import { checkSize } from "./object-size.ts";

/** What publishing needs. */
export interface EventPublisherOptions {
  readonly connection: Pick<BusConnection, "nats" | "freshInbox">;
  readonly trustDomain: string;
  readonly clock: Clock;
  /** How long an event waits for its acknowledgement. */
  readonly timeoutMs: number;
}

/** An event whose caller waits. */
interface Waiting {
  readonly event: BusEvent;
  readonly subject: string;
  readonly resolve: () => void;
  readonly reject: (reason: EventsError) => void;
}

/** What was sent and not answered yet: one event, or a batch of them. */
interface Open {
  readonly group: readonly Waiting[];
  readonly sentAt: number;
}

/** Where the acknowledgements of one connection come in. */
interface Inbox {
  readonly nats: NatsConnection;
  readonly prefix: string;
}

/** JetStream takes a thousand (`max_batch_size`); what is left over is the next one. */
const mostInBatch = 500;

/** server/errors.json: atomic publish is disabled for this stream. */
const batchesDisabled = 10174;

/**
 * Publishes to JetStream. Events of one turn go as one atomic batch (ADR-50 of NATS): they are stored in their order, all or none, with one sync of the
 * broker's disk and one acknowledgement, where `sync_interval: always` would cost each of them a sync of its own. A broker or a stream that knows no batches gets
 * them one by one. One subscription and one timer serve all; the client's own publish makes a request, a timer and a stack trace for each.
 */
export class EventPublisher {
  readonly #options: EventPublisherOptions;
  readonly #open = new Map<string, Open>();
  readonly #subjects = new Map<string, string>();
  readonly #told = new EventHeaders();
  #gathered: Waiting[] = [];
  #batches = true;
  #inbox: Inbox | undefined;
  #timer: Timer | undefined;
  #sent = 0;

  constructor(options: EventPublisherOptions) {
    this.#options = options;
  }

  /** Sends in the order of the calls, and resolves when the stream has stored it. @throws EventsError */
  publish(event: BusEvent): Promise<void> {
    return new Promise((resolve, reject) => {
      const subject = this.#subjectOf(event.type);
      checkEventId(event.id);
      checkSize(event.bytes, event.type);
      this.#gathered.push({ event, subject, resolve, reject });
      if (this.#gathered.length === 1) queueMicrotask(() => this.#sendGathered());
      if (this.#gathered.length === mostInBatch) this.#sendGathered();
    });
  }

  /** Ends the wait for what was not answered. */
  close(): void {
    this.#timer?.cancel();
    const error = new EventsError("BUS_CLOSED", "this bus was closed; open another one");
    for (const { group } of this.#take(() => true)) refuse(group, error);
  }

  /** Kept, since making one takes a hash; there are as many as types. */
  #subjectOf(type: string): string {
    const subject = this.#subjects.get(type) ?? eventSubject(type, this.#options.trustDomain);
    this.#subjects.set(type, subject);
    return subject;
  }

  #sendGathered(): void {
    const group = this.#gathered;
    this.#gathered = [];
    try {
      if (this.#batches && group.length > 1) this.#sendTogether(group);
      else this.#sendAlone(group);
    } catch (thrown) {
      refuse(group, thrown);
    }
  }

  #sendTogether(group: readonly Waiting[]): void {
    const { nats, reply } = this.#expectAnswer(group);
    const batch = reply.slice(-longestBatchId);
    for (const [at, { subject, event }] of group.entries()) {
      const isLast = at === group.length - 1;
      this.#told.tell(event.id, { batch, sequence: at + 1, isLast });
      const { headers } = this.#told;
      nats.publish(subject, event.bytes, isLast ? { headers, reply } : { headers });
    }
  }

  #sendAlone(group: readonly Waiting[]): void {
    for (const waiting of group) {
      const { nats, reply } = this.#expectAnswer([waiting]);
      this.#told.tell(waiting.event.id, undefined);
      const { headers } = this.#told;
      nats.publish(waiting.subject, waiting.event.bytes, { headers, reply });
    }
  }

  #expectAnswer(group: readonly Waiting[]): {
    readonly nats: NatsConnection;
    readonly reply: string;
  } {
    const { connection, clock } = this.#options;
    const { nats, prefix } = this.#inboxOn(connection.nats());
    this.#sent += 1;
    const reply = `${prefix}.${this.#sent}`;
    this.#open.set(reply, { group, sentAt: clock.now() });
    this.#timer ??= this.#watch();
    return { nats, reply };
  }

  /** The subscription goes out before the first event does, so no acknowledgement comes too early for it. */
  #inboxOn(nats: NatsConnection): Inbox {
    if (this.#inbox?.nats === nats) return this.#inbox;
    const prefix = this.#options.connection.freshInbox();
    nats.subscribe(`${prefix}.*`, {
      callback: (error, message) => {
        if (error === null) this.#onAnswer(message);
      },
    });
    this.#inbox = { nats, prefix };
    return this.#inbox;
  }

  #onAnswer(message: Msg): void {
    const open = this.#open.get(message.subject);
    if (open === undefined) return;
    this.#open.delete(message.subject);
    const { group } = open;
    try {
      const count = storedBy(message);
      // An older broker knows no batches: it dropped or stored the others without a word, and took the last one for itself.
      if (group.length > 1 && count !== group.length) this.#batches = false;
      else {
        for (const { resolve } of group) resolve();
        return;
      }
    } catch (thrown) {
      if (group.length === 1 || !(thrown instanceof JetStreamApiError)) {
        refuse(group, thrown);
        return;
      }
      if (thrown.code === batchesDisabled) this.#batches = false;
    }
    // One by one each gets an answer of its own; what is stored already is known by its id.
    try {
      this.#sendAlone(group);
    } catch (thrown) {
      refuse(group, thrown);
    }
  }

  #watch(): Timer {
    const { clock, timeoutMs } = this.#options;
    return clock.after(timeoutMs, () => {
      const latest = clock.now() - timeoutMs;
      for (const { group } of this.#take(({ sentAt }) => sentAt <= latest))
        refuse(group, new errors.TimeoutError());
      this.#timer = this.#open.size > 0 ? this.#watch() : undefined;
    });
  }

  #take(wanted: (open: Open) => boolean): readonly Open[] {
    const taken = [...this.#open].filter(([, open]) => wanted(open));
    for (const [reply] of taken) this.#open.delete(reply);
    return taken.map(([, open]) => open);
  }
}

/** A batch's name has at most this many characters; the end of a reply subject is unique. */
const longestBatchId = 64;

function refuse(group: readonly Waiting[], thrown: unknown): void {
  for (const { event, reject } of group) reject(failure(thrown, { what: `publish ${event.type}` }));
}

/** What JetStream answers to a publish; `count` when it was a batch. */
interface Acknowledgement {
  readonly stream?: string;
  readonly count?: number;
  readonly error?: ConstructorParameters<typeof JetStreamApiError>[0];
}

/** How many events an answer says were stored. @throws whatever the answer says instead */
function storedBy(message: Msg): number {
  if (message.headers?.code === 503) throw new errors.NoRespondersError(message.subject);
  const { stream, count, error } = message.json<Acknowledgement>();
  if (error !== undefined) throw new JetStreamApiError(error);
  if (stream === eventsStream) return count ?? 1;
  throw new EventsError(
    "BUS_MISCONFIGURED",
    `the stream ${stream} took an event, which should be ${eventsStream}; remove the stream that overlaps`,
  );
}
