import type { Entry } from "../policy/entry.ts";
import type { Selector } from "../spiffe/selector.ts";
import type { SpiffeId, TrustDomain } from "../spiffe/spiffe-id.ts";
import type { Version } from "./version.ts";

/** The contents of every kind of envelope (docs/protocol.md). All binary members are base64, all times milliseconds since the epoch. */

/** What every payload says. */
export interface Stamped {
  readonly td: TrustDomain;
  readonly at: number;
}

/** State: an object under a key, in one version. `deleted` leaves a tombstone. */
export interface StateObject extends Stamped {
  readonly key: string;
  readonly version: Version;
}

/** A request by a node; it lives 60 s. */
export interface NodeRequest extends Stamped {
  readonly id: string;
  readonly node: SpiffeId;
}

/** A reply, bound to one request by the digest of its envelope. */
export interface Reply extends Stamped {
  readonly request: string;
}

/** The root vouches for a control key, for about 30 days. */
export interface ControlCertificate extends Stamped {
  readonly issuer: SpiffeId;
  readonly publicKey: string;
  readonly notBefore: number;
  readonly notAfter: number;
}

/** The root says which epoch it is, and which control keys count no more. */
export interface EpochState extends StateObject {
  readonly revokedKeys: readonly string[];
}

/** What a trust domain's verifiers trust, and what nodes must know to act on it. */
export interface BundleState extends StateObject {
  /** The SPIFFE bundle document, as it would be served. */
  readonly document: string;
  /** The least version of the revocations that this bundle goes with. */
  readonly revocations: Version;
  /** Subject key id (hex) of the authority that signs now: nodes ask anew for every SVID that another one signed. Empty before the first. */
  readonly activeAuthority: string;
  /** Subject key ids (hex) of authorities whose keys may be in wrong hands: nodes ask anew at once for every SVID that one of these signed. */
  readonly taintedAuthorities: readonly string[];
  /** SHA-256 pins of the broker's public keys, current and next. */
  readonly brokerPins: readonly string[];
}

/** Which SVIDs count no more before their end. */
export interface RevocationsState extends StateObject {
  /** CRLs, DER: one of every trusted authority as soon as one of them revoked something, none before. */
  readonly crls: readonly string[];
}

/** One revoked SVID; a tuple, since thousands must fit into one object. The reason is a number of RFC 5280 5.3.1. */
export type RevokedRow = readonly [
  serial: string,
  revokedAtSeconds: number,
  notAfterSeconds: number,
  reason: number,
];

/** The issuers' own list of what is revoked, by authority; CRLs are made from it. */
export interface RevokedState extends StateObject {
  readonly authorities: Readonly<Record<string, readonly RevokedRow[]>>;
}

/** Entries that select many nodes; readable by all nodes. */
export interface GroupIndexState extends StateObject {
  readonly entries: readonly Entry[];
  readonly pages: readonly { readonly key: string; readonly sha256: string }[];
}

/** What one node must know of itself. */
export interface ManifestState extends StateObject {
  readonly node: SpiffeId;
  readonly labels: Readonly<Record<string, string>>;
  readonly banned: boolean;
  /** Entries that name this node, in force from the group index of `goesWith` on. */
  readonly entries: readonly Entry[];
  /** The version of the group index that switches them over; zeros when they are in force at once. */
  readonly goesWith: Version;
  /** What is in force until then. */
  readonly before: readonly Entry[];
}

/** The issuers' own copy of an entry; nodes read views of it. */
export interface EntryState extends StateObject {
  /** null: deleted. */
  readonly entry: Entry | null;
}

/** A page of a declared set: issuers' own copy of its entries. In force while its set names it in this version. */
export interface EntryPageState extends StateObject {
  readonly set: string;
  readonly entries: readonly Entry[];
}

/** A declared set of entries: the one object that switches all of them over. */
export interface EntrySetState extends StateObject {
  readonly set: string;
  readonly pages: readonly { readonly key: string; readonly version: Version }[];
}

/** A join token: its public half, so that reading it lets nobody enrol (ENR-01). */
export interface TokenState extends StateObject {
  readonly token: string;
  readonly publicKey: string;
  readonly expires: number;
  readonly nodeName: string;
  readonly labels: Readonly<Record<string, string>>;
  /** The node is known already, and whoever redeems this takes its place: its old keys are retired. */
  readonly replaces: boolean;
  /** Key id of the node key that redeemed it; null while it is unused. */
  readonly usedBy: string | null;
}

/** A public key of a node. */
export interface NodeKey {
  readonly keyId: string;
  readonly spki: string;
}

/** By which keys a node is known. Requests are judged by it, not by certificate chains. */
export interface NodeRecordState extends StateObject {
  readonly node: SpiffeId;
  readonly current: NodeKey;
  /** Certified by the last renewal, not used yet. */
  readonly next: NodeKey | null;
  readonly retired: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  readonly banned: boolean;
  readonly enrolledAt: number;
  /** notAfter of the newest node SVID. */
  readonly expiresAt: number;
  /** When an operator took the node out; it is `banned` from then on, and may enrol anew. Absent: it is in. */
  readonly evictedAt?: number | undefined;
}

/**
 * Trusted: `prepared` (signs nothing yet), `active` (signs), `old` (signs no more), `tainted` (signs no more, and what it signed is replaced at
 * once). Not trusted, for good: `revoked` (taken out, by an operator or at the end of a rotation), `expired` (its notAfter is over).
 */
export type AuthorityStatus = "prepared" | "active" | "old" | "tainted" | "revoked" | "expired";

/** Who leads. Written by compare-and-set, so of two that start together one fails. */
export interface TermState extends StateObject {
  readonly issuer: SpiffeId;
  readonly boot: string;
}

/** Which contents of an object are meant. */
export interface ObjectRef {
  readonly version: Version;
  readonly digest: string;
}

/** One record of an issuer's chain, and with it all before: each names the digest of the one before. */
export interface AuditPoint {
  readonly issuer: SpiffeId;
  readonly n: bigint;
  readonly digest: string;
}

/** The newest version of everything, signed: what a broker withholds or rewinds shows against it (MEC-07). */
export interface Head extends Stamped {
  readonly epoch: bigint;
  readonly term: bigint;
  /** Counts the heads of this term. */
  readonly n: bigint;
  readonly objects: Readonly<Record<string, ObjectRef>>;
  readonly merkleRoot: string;
  readonly viewEveryMs: number;
  readonly ackSpreadMs: number;
  readonly expires: number;
  /** Where the issuer's audit chain stands: whoever keeps a head can tell later that the chain was rewritten. Absent before the first record. */
  readonly audit?: AuditPoint | undefined;
}

/** The newest head somebody saw, as told in requests: an issuer that is shown a higher one than its own must not go on signing. */
export interface HeadRef {
  readonly epoch: bigint;
  readonly term: bigint;
  readonly n: bigint;
}

/** A new node asks to be let in; signed with the key that its join string makes. */
export interface EnrolRequest extends Stamped {
  readonly token: string;
  readonly nodeName: string;
  readonly pin: string;
  readonly nonce: string;
  readonly csr: string;
  /** X25519, SubjectPublicKeyInfo. */
  readonly sealingKey: string;
}

/**
 * A new node asks to be let in by a certificate of the operator's CA; signed with that certificate's key, the chain beside the signature. Which node
 * it is, the certificate says, and nothing else.
 */
export interface X509PopEnrolRequest extends Stamped {
  /** SHA-256 of the leaf, DER: of two certificates for one key this one is meant. */
  readonly certificate: string;
  readonly pin: string;
  readonly nonce: string;
  readonly csr: string;
  /** X25519, SubjectPublicKeyInfo. */
  readonly sealingKey: string;
}

/** How to reach the bus, for a node. */
export interface BusAccess {
  readonly servers: readonly string[];
  readonly brokerPins: readonly string[];
}

/** A node's first identity, and the state it starts from. */
export interface EnrolReply extends Reply {
  readonly node: SpiffeId;
  readonly chain: readonly string[];
  readonly bus: BusAccess;
  /** JWE of the NATS nkey seed, to the request's sealing key. */
  readonly sealedBusSeed: string;
  /** Envelopes of the state a node starts from. */
  readonly state: readonly string[];
}

/** A node asks for a certificate for its next key. */
export interface RenewRequest extends NodeRequest {
  readonly csr: string;
}

/** The certificate, and how the bus is reached now. */
export interface RenewReply extends Reply {
  readonly chain: readonly string[];
  readonly bus: BusAccess;
}

/** For whom an SVID is asked: for a caller that was attested, or to be ready when it calls. */
export type Purpose =
  | { readonly kind: "caller"; readonly selectors: readonly Selector[]; readonly pid: number }
  | { readonly kind: "kept-warm" };

/** One CSR and what it is for. */
export interface SignItem {
  readonly entry: string;
  readonly revision: bigint;
  readonly purpose: Purpose;
  readonly csr: string;
}

/** A batch of CSRs. */
export interface SignRequest extends NodeRequest {
  readonly highest: HeadRef | null;
  readonly items: readonly SignItem[];
}

/** Why one item of a batch was not signed; the others are. */
export type SignRefusal = "ENTRY_UNKNOWN" | "ENTRY_CHANGED" | "CSR_INVALID" | "LINT";

/** One for each item, in their order. */
export type SignResult =
  | { readonly ok: true; readonly entry: string; readonly chain: readonly string[] }
  | {
      readonly ok: false;
      readonly entry: string;
      readonly code: SignRefusal;
      readonly reason: string;
    };

export interface SignReply extends Reply {
  readonly results: readonly SignResult[];
}

/** A node asks an issuer itself what the state is; the nonce keeps old answers out. */
export interface StateRequest extends NodeRequest {
  readonly nonce: string;
  readonly highest: HeadRef | null;
}

/** The newest head and the objects that this node reads, as envelopes. */
export interface StateReply extends Reply {
  readonly nonce: string;
  readonly head: string;
  readonly state: readonly string[];
}

/** Why a whole request was refused; stable. */
export type RefusalCode =
  | "CLOCK"
  | "NODE_UNKNOWN"
  | "NODE_BANNED"
  | "KEY_RETIRED"
  | "TOKEN_UNKNOWN"
  | "TOKEN_USED"
  | "TOKEN_EXPIRED"
  | "NODE_NAME"
  | "CSR_INVALID"
  | "RENEWAL_TOO_LATE"
  | "ATTESTOR_OFF"
  | "CERTIFICATE_INVALID"
  | "ISSUER_BEHIND"
  | "NOT_LEADER";

/** A signed no. Its `at` is the issuer's time, by which a node with a wrong clock asks again. */
export interface Refused extends Reply {
  readonly code: RefusalCode;
  readonly reason: string;
}

/** A signed "later". */
export interface Busy extends Reply {
  readonly retryAfterMs: number;
}

/** One stream (or file) that this node feeds, and how far it got. */
export interface ConsumerReport {
  readonly id: string;
  readonly kind: "sds" | "workload-api";
  readonly connected: boolean;
  /** `spiffe_sequence` of each trust domain's bundle: last sent, and last acknowledged (or flushed, where nothing acknowledges). */
  readonly sent: Readonly<Record<string, bigint>>;
  readonly acknowledged: Readonly<Record<string, bigint>>;
  /** When the last flush was, for those that cannot acknowledge. */
  readonly flushedAt: number;
  /** notAfter of the longest-lived SVID it was given: a consumer that is gone counts until then. */
  readonly heldUntil: number;
  /** What it refused last and has not accepted since; null when nothing. */
  readonly refusal: { readonly name: string; readonly reason: string } | null;
}

/** How many live SVIDs of this node an authority signed. */
export interface AuthorityUse {
  /** Subject key id of the authority, hex. */
  readonly authority: string;
  readonly svids: number;
  /** When the last of them expires. */
  readonly until: number;
}

/** What a node has applied and what its consumers have accepted: what rotation gates wait for. */
export interface Ack extends NodeRequest {
  readonly boot: string;
  readonly counter: number;
  readonly highest: HeadRef | null;
  readonly applied: Readonly<Record<string, Version>>;
  readonly consumers: readonly ConsumerReport[];
  readonly authorities: readonly AuthorityUse[];
}

/** Until it comes the ack is sent again. */
export interface AckReply extends Reply {
  readonly counter: number;
}
