import type { Ack, ConsumerReport, NodeRecordState } from "../core/envelope/payloads.ts";
import { compareVersions, type Version } from "../core/envelope/version.ts";
import type { SpiffeId, TrustDomain } from "../core/spiffe/spiffe-id.ts";

/** A consumer that cannot acknowledge counts this long after it was flushed (protocol.md, Acknowledged). */
const settleMs = 10_000;

/** Why a gate is not passed: one line a node or consumer, for the operator's eyes. */
export interface Waiting {
  readonly node: SpiffeId;
  /** Empty when it is the node itself that has not answered. */
  readonly consumer: string;
  readonly reason: string;
  /** A refusal blocks until somebody acts; everything else passes with time. */
  readonly blocks: boolean;
}

/** Who lives, and what each last acknowledged. */
export interface GateFacts {
  readonly now: number;
  readonly records: readonly NodeRecordState[];
  /** No SVID lives longer, so nobody can claim to hold one that does (milliseconds after its acknowledgement). */
  readonly longestLifeMs: number;
  readonly ackOf: (node: SpiffeId) => Ack | undefined;
}

/** Live nodes: those with an SVID that has not ended, unless banned. */
export function liveNodes(facts: GateFacts): readonly NodeRecordState[] {
  return facts.records.filter((record) => !record.banned && lastEnd(record, facts) > facts.now);
}

/** Has every live node, and every consumer of the bundle on it, accepted `trustDomain`'s bundle of at least `sequence`? Empty means yes. */
export function waitingForBundle(
  facts: GateFacts,
  bundle: {
    readonly trustDomain: TrustDomain;
    readonly sequence: bigint;
    readonly key: string;
    readonly version: Version;
  },
): readonly Waiting[] {
  return liveNodes(facts).flatMap(({ node }) => {
    const ack = facts.ackOf(node);
    const applied = ack?.applied[bundle.key];
    const has = applied !== undefined && compareVersions(applied, bundle.version) >= 0;
    if (ack === undefined || !has) return [waiting(node, "", "has not acknowledged the bundle")];
    return ack.consumers.flatMap((consumer) => {
      const heldUntil = Math.min(consumer.heldUntil, ack.at + facts.longestLifeMs);
      const reason = consumerLacks({ ...consumer, heldUntil }, bundle, facts.now);
      return reason === undefined ? [] : [{ node, consumer: consumer.id, ...reason }];
    });
  });
}

/** Which live nodes still hold SVIDs of an authority? Empty means none. */
export function waitingForReissue(facts: GateFacts, authority: string): readonly Waiting[] {
  return liveNodes(facts).flatMap(({ node }) => {
    const ack = facts.ackOf(node);
    if (ack === undefined)
      return [waiting(node, "", "has not told which authorities its SVIDs chain to")];
    const left = ack.authorities.find(
      (use) =>
        use.authority === authority &&
        Math.min(use.until, ack.at + facts.longestLifeMs) > facts.now,
    );
    return left === undefined
      ? []
      : [waiting(node, "", `${left.svids} live SVID(s) of the old authority`)];
  });
}

function consumerLacks(
  consumer: ConsumerReport,
  bundle: { readonly trustDomain: TrustDomain; readonly sequence: bigint },
  now: number,
): Pick<Waiting, "reason" | "blocks"> | undefined {
  const sent = consumer.sent[bundle.trustDomain];
  if (sent === undefined) return undefined;
  // Its identity is over, so nobody talks to it: an Envoy whose entry was deleted is pushed nothing and must not hold up a fleet.
  if (consumer.heldUntil > 0 && consumer.heldUntil <= now) return undefined;
  if (consumer.refusal !== null)
    return { reason: `refused ${consumer.refusal.name}: ${consumer.refusal.reason}`, blocks: true };
  const accepted = (consumer.acknowledged[bundle.trustDomain] ?? 0n) >= bundle.sequence;
  if (!consumer.connected && consumer.heldUntil === 0) return undefined;
  if (!accepted)
    return {
      reason: consumer.connected
        ? "has not acknowledged the bundle"
        : "is away, and what it holds has not ended",
      blocks: false,
    };
  if (consumer.kind === "workload-api" && consumer.flushedAt + settleMs > now)
    return { reason: "was flushed less than 10 s ago", blocks: false };
  return undefined;
}

function lastEnd(record: NodeRecordState, facts: GateFacts): number {
  const ack = facts.ackOf(record.node);
  if (ack === undefined) return record.expiresAt;
  const claimed = ack.authorities.reduce((end, use) => Math.max(end, use.until), 0);
  return Math.max(record.expiresAt, Math.min(claimed, ack.at + facts.longestLifeMs));
}

function waiting(node: SpiffeId, consumer: string, reason: string): Waiting {
  return { node, consumer, reason, blocks: false };
}
