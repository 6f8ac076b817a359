/**
 * The bus as Herald's rooms see it: two faces, one for issuers and one for nodes. Both are untrusting by contract: whatever
 * comes out of a bus may be old, forged, repeated or out of order (invariant 2 of the design), so callers verify every byte.
 *
 * Object keys are strings `<family>.<name...>`; `subjects.ts` knows the families and where each one lives.
 */

/** An issuer's face of the bus: it writes state, answers nodes, keeps the audit chain and tells services. */
export interface IssuerBus {
  /**
   * Writes one object, compare-and-set against the last revision of it that this bus has seen (none seen: it must not exist).
   * The object is durable once this resolves, and nodes that listen have been sent it.
   * After a rejection with BUS_TIMEOUT or BUS_UNREACHABLE it may or may not have been written; a later `put` of the same key finds
   * out first, and repeating the same bytes is safe.
   * @throws EventsError BUS_CONFLICT when somebody else wrote the key since; nothing was written: `loadAll` before trying again
   * @throws EventsError BUS_BAD_KEY, BUS_TOO_LARGE before anything is sent
   */
  put(key: string, bytes: Uint8Array): Promise<void>;
  /**
   * Every object of every family with its newest bytes, complete as of the call; also learns all revisions for `put`.
   * Deleted objects are left out, but their revisions are known.
   */
  loadAll(): Promise<ReadonlyMap<string, Uint8Array>>;
  /** Broadcasts a head to every node that listens now. At most once: it resolves when handed to the broker, and nobody is told of a loss. */
  broadcastHead(trustDomain: string, bytes: Uint8Array): Promise<void>;
  /**
   * Answers the nodes' requests, sharing them with the other issuers. A handler that rejects is logged and leaves its caller
   * without an answer; it never stops the service. Resolves when the broker knows of the subscription.
   */
  serve(handler: RequestHandler): Promise<Service>;
  /**
   * Appends to the audit chain of `issuer`; durable once it resolves. Appends to one chain happen in the order of the calls.
   * Repeating the same bytes after BUS_TIMEOUT or BUS_UNREACHABLE does not append them twice.
   * @throws EventsError BUS_CONFLICT when the chain was continued by somebody else (two processes with one name): stop issuing
   */
  appendAudit(issuer: string, bytes: Uint8Array): Promise<void>;
  /** The newest record of an issuer's chain, from which its next append continues: read it at start and chain to it, so that a second process of the same name is caught. Undefined for an empty chain. */
  lastAudit(issuer: string): Promise<LogMessage | undefined>;
  /** Publishes an event for services; stored once it resolves, and only once for one `id` within ten minutes. */
  publishEvent(event: BusEvent): Promise<void>;
  /** Events from sequence `since` on (default: from now on), then as they come, across reconnects, until `signal` aborts. @throws EventsError BUS_GAP when retention took some of them */
  tailEvents(options: TailOptions): AsyncIterable<LogMessage>;
  /** Audit records of all issuers, as `tailEvents`. */
  tailAudit(options: TailOptions): AsyncIterable<LogMessage>;
  /** What the stream holds of one issuer's chain as of the call, in its order, then ends: a page at a time, as fast as it is taken. Ends early when `signal` aborts. */
  readAudit(options: ReadAuditOptions): AsyncIterable<LogMessage>;
  /** Makes what is missing of streams and buckets; changes nothing that exists and reports where it differs from what Herald wants. Idempotent. */
  ensure(): Promise<readonly Drift[]>;
  /** What an operator should know about this broker: each check with its result and, where it failed, the cure. Never rejects. */
  doctor(): Promise<readonly Finding[]>;
  /** Whether the broker is reachable right now, as far as known. */
  connected(): boolean;
  /** Ends services and tails, lets running handlers answer, and disconnects. */
  close(): Promise<void>;
}

/** A node's face of the bus. It owns no consumer and writes no state (ND-02). */
export interface NodeBus {
  /**
   * The newest bytes of one object that the broker is willing to show; undefined if there is none or it was deleted.
   * Any replica may answer and lag behind (ND-21).
   * @throws EventsError BUS_NO_STORE, BUS_TIMEOUT, BUS_UNREACHABLE
   */
  read(key: string): Promise<Uint8Array | undefined>;
  /**
   * Listens to heads and to changed objects. `onConnected` fires once the broker is known to have the subscriptions, so that a read
   * begun then misses nothing (ND-20), and again after each reconnect; messages may arrive before it.
   */
  subscribe(listener: NodeListener): Promise<Service>;
  /**
   * Asks any issuer and gives its answer, unverified.
   * @throws EventsError BUS_NO_ISSUER at once when no issuer listens; BUS_TIMEOUT after `timeoutMs`; BUS_UNREACHABLE
   */
  request(
    kind: RequestKind,
    bytes: Uint8Array,
    options: { readonly timeoutMs: number },
  ): Promise<Uint8Array>;
  /** Whether the broker is reachable right now, as far as known. */
  connected(): boolean;
  /** Ends the subscriptions and disconnects. */
  close(): Promise<void>;
}

/** What a node may ask an issuer on the bus; each has its subject, and its permission. */
export type RequestKind = "sign" | "renew" | "state" | "ack";

/** A request as it came; `node` is the token in the subject, which the broker's permissions vouch for and nothing else does. */
export interface BusRequest {
  readonly kind: RequestKind;
  /** `token26` of the SPIFFE ID of the node that asks. */
  readonly node: string;
  readonly bytes: Uint8Array;
}

/** Answers one request; undefined leaves its caller without an answer, which is meant and not logged. */
export type RequestHandler = (request: BusRequest) => Promise<Uint8Array | undefined>;

/** Something that runs until it is closed; closing twice is fine. */
export interface Service {
  /** Takes nothing new, finishes what runs, and resolves. */
  close(): Promise<void>;
}

/** What `NodeBus.subscribe` tells. None of these may throw. */
export interface NodeListener {
  onHead(bytes: Uint8Array): void;
  onObject(key: string, bytes: Uint8Array): void;
  onConnected(): void;
  onDisconnected(): void;
}

/** An event for services; `type` is dotted, such as `svid.rotated`, and becomes part of the subject. */
export interface BusEvent {
  /** Unique for this event; equals the CloudEvents id. */
  readonly id: string;
  readonly type: string;
  readonly bytes: Uint8Array;
}

/** Where a tail starts and when it ends. */
export interface TailOptions {
  /** First sequence wanted; 1 is the oldest that is kept. Defaults to only what is new. */
  readonly since?: number;
  readonly signal: AbortSignal;
}

/** Which part of which chain is read. */
export interface ReadAuditOptions {
  readonly issuer: string;
  /** First sequence wanted; 1 is the oldest that is kept. */
  readonly from: number;
  readonly signal: AbortSignal;
}

/** One stored message of a log (events or audit). */
export interface LogMessage {
  /** Grows by one for each message of the log. */
  readonly sequence: number;
  readonly subject: string;
  readonly bytes: Uint8Array;
}

/** A setting of an existing stream that is not as Herald wants it. */
export interface Drift {
  readonly stream: string;
  readonly setting: string;
  readonly wanted: string;
  readonly found: string;
}

/** One check of `doctor`; `ok: "unknown"` where the broker cannot be asked. */
export interface Finding {
  readonly check: string;
  readonly ok: boolean | "unknown";
  /** What was found, in a sentence. */
  readonly detail: string;
  /** What to do about it; absent when all is well. */
  readonly cure?: string;
}
