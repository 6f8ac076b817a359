import { JetStreamApiCodes, JetStreamApiError } from "@nats-io/jetstream";
import type { Msg, MsgHdrs, NatsConnection } from "@nats-io/transport-node";
import type { Clock } from "../../kit/clock.ts";
import { EventsError } from "../error.ts";
import type { BusConnection } from "./connection.ts";
import { managerOf } from "./streams.ts";

/** A message of a stream as it is stored. */
export interface StoredMessage {
  readonly subject: string;
  readonly sequence: number;
  readonly bytes: Uint8Array;
  /** A marker that the key was deleted: it has a revision but no object. */
  readonly deleted: boolean;
}

/** What to read a stream with. */
export interface ReadOptions {
  readonly connection: BusConnection;
  readonly stream: string;
  readonly clock: Clock;
}

// The server answers at most 1,024 messages a batch (ND-22).
const batch = 1_000;
const stallMs = 5_000;

/**
 * The newest stored message of each subject of a stream, complete as of the call. Walks the stream in batches of direct get,
 * since `multi_last` ends at 1,024 subjects; what a lagging replica does not have yet is then read from the leader.
 * @throws EventsError BUS_TIMEOUT, BUS_UNREACHABLE; and what nats.js throws
 */
export async function newestOfEach(
  options: ReadOptions,
): Promise<ReadonlyMap<string, StoredMessage>> {
  const nats = options.connection.nats();
  const manager = await managerOf(nats);
  const { state } = await manager.streams.info(options.stream);
  const newest = new Map<string, StoredMessage>();
  let next = 1;
  for (let pending = state.messages; pending > 0; ) {
    const page = await readPage(options, next);
    for (const message of page.messages) newest.set(message.subject, message);
    next = following(page.messages, next);
    pending = page.messages.length === 0 ? 0 : page.pending;
  }
  while (next <= state.last_seq) {
    const of = { nats, stream: options.stream };
    const message = await readFromLeader(of, { seq: next, next_by_subj: ">" });
    if (message === undefined) break;
    newest.set(message.subject, message);
    next = following([message], next);
  }
  return newest;
}

/**
 * The messages of one subject of a stream from sequence `from` on, up to the newest as of the call, in order. A page is read when the one before was
 * taken, so memory holds one page.
 * @yields each message
 * @throws EventsError BUS_TIMEOUT, BUS_UNREACHABLE; and what nats.js throws
 */
export async function* messagesOf(
  options: ReadOptions & {
    readonly subject: string;
    readonly from: number;
    readonly signal: AbortSignal;
  },
): AsyncGenerator<StoredMessage, void, undefined> {
  const { connection, stream, subject, signal } = options;
  const last = (await newestMessage(connection.nats(), { stream, subject }))?.sequence ?? 0;
  const ended = (): boolean => signal.aborted;
  for (let next = options.from; next <= last && !ended(); ) {
    const { messages } = await readPage(options, next, subject);
    next = following(messages, next);
    for (const message of messages) {
      if (message.sequence > last || ended()) return;
      yield message;
    }
    if (messages.length === 0) return;
  }
}

/** Where to read on. A broker whose sequences do not grow would keep us reading for ever. */
function following(messages: readonly StoredMessage[], from: number): number {
  const last = messages.at(-1)?.sequence ?? from;
  if (last >= from) return last + 1;
  throw new EventsError(
    "BUS_NO_STORE",
    "the broker's sequences run backwards; it is broken or hostile",
  );
}

/** The newest message of a subject, by the stream's leader, so never an older one; undefined if there is none. */
export function newestMessage(
  nats: NatsConnection,
  of: { readonly stream: string; readonly subject: string },
): Promise<StoredMessage | undefined> {
  return readFromLeader({ nats, stream: of.stream }, { last_by_subj: of.subject });
}

async function readFromLeader(
  from: { readonly nats: NatsConnection; readonly stream: string },
  query:
    | { readonly last_by_subj: string }
    | { readonly seq: number; readonly next_by_subj: string },
): Promise<StoredMessage | undefined> {
  const manager = await managerOf(from.nats);
  try {
    const found = await manager.streams.getMessage(from.stream, query);
    if (found === null) return undefined;
    return {
      subject: found.subject,
      sequence: found.seq,
      bytes: found.data,
      deleted: isDeletion(found.header),
    };
  } catch (thrown) {
    const none =
      thrown instanceof JetStreamApiError && thrown.code === JetStreamApiCodes.NoMessageFound;
    if (none) return undefined;
    throw thrown;
  }
}

/** Whether a message says that its key has no object: deleted, purged, or expired (server-made markers). */
export function isDeletion(headers: MsgHdrs | undefined): boolean {
  if (headers === undefined) return false;
  const operation = headers.get("KV-Operation");
  return operation === "DEL" || operation === "PURGE" || headers.get("Nats-Marker-Reason") !== "";
}

interface Page {
  readonly messages: readonly StoredMessage[];
  /** How many more there are behind these. */
  readonly pending: number;
}

/** Up to 1,000 messages from sequence `from` on, of all subjects or of one. Ours and not nats.js' `getBatch`, which waits for ever when the end is withheld. */
function readPage(
  { connection, stream, clock }: ReadOptions,
  from: number,
  subject?: string,
): Promise<Page> {
  const nats = connection.nats();
  const messages: StoredMessage[] = [];
  const { promise, resolve, reject } = Promise.withResolvers<Page>();
  const stalled = (): void =>
    reject(new EventsError("BUS_TIMEOUT", `${stream} stopped answering in the middle of a read`));
  let stall = clock.after(stallMs, stalled);
  const inbox = connection.freshInbox();
  const take = (message: Msg): void => {
    stall.cancel();
    const end = endOf(message);
    if (end === undefined) {
      messages.push(storedOf(message));
      stall = clock.after(stallMs, stalled);
    } else if (end instanceof EventsError) reject(end);
    else resolve({ messages, pending: end });
  };
  const subscription = nats.subscribe(inbox, {
    callback: (error, message) => {
      if (error === null) take(message);
      else reject(error);
    },
  });
  void subscription.closed.then(() =>
    reject(new EventsError("BUS_UNREACHABLE", `the connection broke while reading ${stream}`)),
  );
  // A batch with a subject begins with the first message of it at or after `seq`.
  const wanted = { seq: from, batch, ...(subject === undefined ? {} : { next_by_subj: subject }) };
  nats.publish(`$JS.API.DIRECT.GET.${stream}`, JSON.stringify(wanted), { reply: inbox });
  return promise.finally(() => {
    stall.cancel();
    subscription.unsubscribe();
  });
}

/** How many messages are left when this one ends a batch; undefined for a message of the batch. */
function endOf(message: Msg): number | EventsError | undefined {
  const code = message.headers?.code ?? 0;
  if (code === 0) return undefined;
  if (code === 204) return Number(message.headers?.get("Nats-Num-Pending") ?? "0");
  if (code === 404) return 0;
  return new EventsError(
    "BUS_NO_STORE",
    `the broker refused a read: ${code} ${message.headers?.description ?? ""}; run \`herald doctor\``,
  );
}

function storedOf(message: Msg): StoredMessage {
  return {
    subject: message.headers?.get("Nats-Subject") ?? "",
    sequence: Number(message.headers?.get("Nats-Sequence") ?? "0"),
    bytes: message.data,
    deleted: isDeletion(message.headers),
  };
}
