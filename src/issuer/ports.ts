import type { KeyObject } from "node:crypto";
import type { TrustDomain } from "../core/spiffe/spiffe-id.ts";
import type { Signer } from "../core/x509/signer.ts";

/** What the issuer needs of the world. Each promise says what the issuer leans on. */

/** The issuer's own disk. */
export interface Journal {
  /** Durable once it resolves: after a power cut all of `records` are there, or, when it did not resolve, a prefix of them. */
  append(records: readonly JournalRecord[]): Promise<void>;
  /** The newest record of each (kind, key), in any order; of audit records at least the newest thousand. Called once, before the first append. */
  load(): Promise<readonly JournalRecord[]>;
}

/** One thing that the journal keeps. */
export interface JournalRecord {
  /** `object`: signed state under its key. `audit`: an audit record, the key ends in its number. `ack`: the newest ack of the node under its key. */
  readonly kind: "object" | "audit" | "ack";
  readonly key: string;
  readonly bytes: Uint8Array;
}

/** State where nodes read it. */
export interface StateStore {
  /** Durable and readable by nodes once it resolves; compare-and-set against what this process last saw of the key. */
  put(key: string, bytes: Uint8Array): Promise<void>;
  /** Everything that is there now; from here on `put` compares with this. */
  loadAll(): Promise<ReadonlyMap<string, Uint8Array>>;
}

/** Tells every node that listens. */
export interface HeadBroadcast {
  /** Best effort: a lost head is followed by the next. */
  broadcastHead(bytes: Uint8Array): void;
}

/** Where auditors read; the issuer's chain in it. */
export interface AuditStream {
  /** Resolves when the stream has acknowledged the record as durable. */
  appendAudit(issuer: string, bytes: Uint8Array): Promise<void>;
  /** The newest record of this issuer's chain in the stream; undefined for an empty one. */
  lastAudit(issuer: string): Promise<{ readonly bytes: Uint8Array } | undefined>;
}

/** The audit stream, read back. */
export interface AuditHistory {
  /**
   * Records of an issuer's chain that were made at `from` (milliseconds) or later, at least one made before where there is one, oldest first, up to
   * the newest of now. They may be anything: the caller verifies.
   */
  readAudit(options: {
    readonly issuer: string;
    readonly from: number;
    readonly signal: AbortSignal;
  }): AsyncIterable<Uint8Array>;
}

/** Reads the audit stream from its beginning: slow, and for auditors only. */
export interface AuditReader {
  /** What the stream holds of one issuer's chain as of the call, oldest first, unverified; ends then, or when `signal` aborts. */
  readAudit(options: {
    readonly issuer: string;
    /** Sequence in the stream; 1 for the oldest. */
    readonly from: number;
    readonly signal: AbortSignal;
  }): AsyncIterable<{ readonly sequence: number; readonly bytes: Uint8Array }>;
}

/** Where services listen. */
export interface EventStream {
  /** At least once: resolves when the stream has it; the id lets the stream drop a second copy. */
  publishEvent(event: {
    readonly id: string;
    readonly type: string;
    readonly bytes: Uint8Array;
  }): Promise<void>;
}

/** Where authority keys live; a key never leaves it. */
export interface AuthorityKeys {
  create(authority: string): Promise<Signer>;
  /** undefined when there is no such key. */
  open(authority: string): Promise<Signer | undefined>;
  /** Takes in a key that an operator made. Stores whose keys are only ever made inside refuse. */
  adopt(authority: string, key: KeyObject): Promise<void>;
  /** Destroys the key for good; also fine when there is none. */
  delete(authority: string): Promise<void>;
}

/** An authority that is to be made. Dates are milliseconds since the epoch. */
export interface AuthorityRequest {
  readonly authority: string;
  readonly trustDomain: TrustDomain;
  /** Makes its key. Not called by an upstream that lends its own. */
  readonly key: () => Promise<Signer>;
  /** For upstreams that leave the choice. */
  readonly serial: Uint8Array;
  readonly now: number;
  readonly notBefore: number;
  /** At the latest: an upstream cuts it to its own end. */
  readonly notAfter: number;
}

/** An authority's certificate and what makes others trust it; DER. Nobody has checked it yet. */
export interface CertifiedAuthority {
  readonly certificate: Uint8Array;
  /** Intermediates above it, in any order. */
  readonly above: readonly Uint8Array[];
  /** All roots that verifiers should hold, also those that this one does not need. */
  readonly anchors: readonly Uint8Array[];
  /** The upstream's own key, where its path length allows no authority below it. */
  readonly key?: KeyObject;
}

/** What an upstream certifies with now; DER. */
export interface UpstreamTrust {
  /** The certificate that signs authorities; undefined where each is its own root. */
  readonly issuer: Uint8Array | undefined;
  readonly anchors: readonly Uint8Array[];
}

/** Where the certificates of authorities come from. */
export interface UpstreamAuthority {
  /** @throws IssuerError UPSTREAM_*; nothing is trusted then, and it is asked again later */
  certify(request: AuthorityRequest): Promise<CertifiedAuthority>;
  /** Asked now and then: what changed makes a new authority be prepared. @throws IssuerError UPSTREAM_* */
  trust(): Promise<UpstreamTrust>;
  /** Hints that something may have changed; the returned function ends it. */
  watch(onChange: () => void): () => void;
}
