import {
  type EnvelopeSigner,
  type Opened,
  openEnvelope,
  sealEnvelope,
  type VerifyingKey,
  verifyingKey,
} from "../core/envelope/envelope.ts";
import type { Payloads } from "../core/envelope/kinds.ts";
import { token26 } from "../core/envelope/object-keys.ts";
import type { NodeKey, NodeRecordState, RefusalCode } from "../core/envelope/payloads.ts";
import { onlyKey } from "../core/envelope/trust.ts";
import type { TrustDomain } from "../core/spiffe/spiffe-id.ts";
import type { Clock } from "../kit/clock.ts";
import { HeraldError } from "../kit/errors.ts";

/** A request lives this long, both ways, so that a replayed one is refused (MEC-02). */
const requestLifeMs = 60_000;

/** Larger requests are not even parsed: 50 CSRs with their selectors stay below a quarter of it. */
const maxRequestBytes: number = 256 * 1024;

/** What a node signs with its own key. */
export type NodeRequestKind = "sign-request" | "renew-request" | "state-request" | "ack";

/** A request that was refused for a reason its sender may know. Answered with a signed `refused`. */
export class Refusal extends HeraldError<RefusalCode> {}

/** A request whose signature, sender and age hold. */
export interface Admitted<K extends NodeRequestKind> {
  readonly request: Opened<K>;
  readonly record: NodeRecordState;
  /** True when it is signed with the record's next key: its first use retires the current one. */
  readonly byNextKey: boolean;
}

/**
 * Lets a node's request in, or throws a {@link Refusal}: who sends it is said by the signature alone; the subject it came on must agree (MEC-02).
 * Nothing of the payload is read before the signature holds.
 *
 * @throws Refusal; EnvelopeError for bytes that no key of that node signed.
 */
export function admit<K extends NodeRequestKind>(
  kind: K,
  bytes: Uint8Array,
  context: {
    readonly record: NodeRecordState | undefined;
    readonly trustDomain: TrustDomain;
    readonly clock: Clock;
  },
): Admitted<K> {
  const { record, clock } = context;
  refuseUnwelcome(record);
  let byNextKey = false;
  const request = openEnvelope(bytes, [kind], {
    keyFor(asked, signature) {
      if (record.retired.includes(signature.keyid)) {
        throw new Refusal(
          "KEY_RETIRED",
          "signed with a node key that a later one replaced: is a copy of this node running elsewhere?",
        );
      }
      byNextKey = signature.keyid === record.next?.keyId;
      const key = byNextKey && record.next !== null ? record.next : record.current;
      return onlyKey("node", nodeKey(key)).keyFor(asked, signature);
    },
  });
  const { payload } = request;
  if (payload.td !== context.trustDomain || payload.node !== record.node)
    throw new Refusal("NODE_UNKNOWN", "the request names another node than its sender");
  refuseStale(payload.at, clock.now());
  return { request, record, byNextKey };
}

/**
 * Nodes that this issuer does not know, has taken out or has banned get nothing. Asked at the door and again right before each signature, so that a
 * ban holds for what was under way too (TM-N).
 *
 * @throws Refusal NODE_UNKNOWN, NODE_BANNED
 */
export function refuseUnwelcome(
  record: NodeRecordState | undefined,
): asserts record is NodeRecordState {
  if (record === undefined || record.evictedAt !== undefined)
    throw new Refusal(
      "NODE_UNKNOWN",
      "this issuer has no record of the node; enrol it again with a fresh join token",
    );
  if (record.banned) throw new Refusal("NODE_BANNED", "the node is banned");
}

// A field of values that are not ours, and goes with them: parsing a key costs as much as a signature, and a record is asked often.
const parsed = new WeakMap<NodeKey, VerifyingKey>();

/** The key of a node's record, ready to verify with. */
export function nodeKey(key: NodeKey): VerifyingKey {
  const known = parsed.get(key) ?? verifyingKey(Buffer.from(key.spki, "base64"), "ES256");
  parsed.set(key, known);
  return known;
}

/** Comes before any reading, so nobody is answered: an answer names the digest of what it answers. @throws Refusal CSR_INVALID */
export function refuseOversized(bytes: Uint8Array): void {
  if (bytes.byteLength > maxRequestBytes)
    throw new Refusal(
      "CSR_INVALID",
      `request of ${bytes.byteLength} bytes; the limit is ${maxRequestBytes}`,
    );
}

/** @throws Refusal CLOCK, whose reply tells the issuer's time. */
export function refuseStale(at: number, now: number): void {
  if (Math.abs(now - at) > requestLifeMs) {
    throw new Refusal(
      "CLOCK",
      `the request's time is ${Math.round((at - now) / 1000)} s off this issuer's; check NTP on the node`,
    );
  }
}

/** Under which key a node's record lies, by the token in its subjects. */
export function recordKey(nodeToken: string): string {
  return `record.${nodeToken}`;
}

/** The same by the node's SPIFFE ID. */
export function recordKeyOf(node: string): string {
  return recordKey(token26(node));
}

/** What an issuer answers with. */
export type ReplyKind =
  | "enrol-reply"
  | "renew-reply"
  | "sign-reply"
  | "state-reply"
  | "ack-reply"
  | "refused"
  | "busy";

/** A signed reply, bound to its request. */
export async function reply<K extends ReplyKind>(
  kind: K,
  payload: Payloads[K],
  signer: EnvelopeSigner,
): Promise<Uint8Array> {
  return (await sealEnvelope(kind, payload, signer)).bytes;
}
