import type { KeyObject } from "node:crypto";
import type { BusAccess } from "../core/envelope/payloads.ts";
import type { SpiffeId } from "../core/spiffe/spiffe-id.ts";

/** What a node's identities need of the world. */

/** Asks an issuer; gives its answer unverified. Rejects when nobody answers in time. */
export interface AskIssuer {
  (
    kind: "sign" | "renew" | "state" | "ack",
    bytes: Uint8Array,
    options: { readonly timeoutMs: number },
  ): Promise<Uint8Array>;
}

/** Posts to the issuer's HTTPS endpoint. Its TLS proves nothing here: every answer is held against the pinned root. */
export interface PostIssuer {
  (path: "/v1/enrol" | "/v1/renew", bytes: Uint8Array): Promise<Uint8Array>;
}

/** The node's own identity as it lies on disk, beside the cache, never in it. */
export interface KeptIdentity {
  readonly node: SpiffeId;
  /** Key id of the control root. */
  readonly pin: string;
  /** P-256. */
  readonly privateKey: KeyObject;
  readonly chain: readonly Uint8Array[];
  readonly bus: BusAccess;
  readonly busSeed: Uint8Array;
}

/** Where the node keeps who it is. */
export interface IdentityStore {
  load(): Promise<KeptIdentity | undefined>;
  /** Durable once it resolves. */
  save(identity: KeptIdentity): Promise<void>;
  /**
   * The key of an enrolment or renewal that was asked and not answered yet, so that the answer to a repeated request still fits: kept
   * before the request leaves.
   */
  loadPending(): Promise<PendingKey | undefined>;
  savePending(pending: PendingKey | undefined): Promise<void>;
}

/** A key that was certified perhaps: the answer has not come. */
export interface PendingKey {
  readonly privateKey: KeyObject;
}

/** One workload SVID with its key, as the cache holds it. */
export interface CachedSvid {
  readonly entry: string;
  readonly revision: bigint;
  readonly spiffeId: SpiffeId;
  readonly chain: readonly Uint8Array[];
  /** PKCS#8 DER. */
  readonly privateKey: Uint8Array;
}

/** The workloads' SVIDs on disk; how well sealed is the adapter's business (protocol.md, Node cache). */
export interface SvidCache {
  load(): Promise<readonly CachedSvid[]>;
  /** Durable once it resolves: an SVID is pushed only after. */
  save(svids: readonly CachedSvid[]): Promise<void>;
  remove(entries: readonly string[]): Promise<void>;
}

/** Which process has a pid now: a token that no later process with that pid has; undefined when there is none. */
export interface Processes {
  startOf(pid: number): string | undefined;
}

/** The last acknowledgement's consumers, over restarts of the daemon. */
export interface ConsumerStore {
  load(): Promise<Uint8Array | undefined>;
  save(bytes: Uint8Array): Promise<void>;
}
