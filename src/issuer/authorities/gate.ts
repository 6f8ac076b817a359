import type { Ack, ConsumerReport, NodeRecordState } from "../../core/envelope/payloads.ts";
import { compareVersions, type Version } from "../../core/envelope/version.ts";
import type { SpiffeId, TrustDomain } from "../../core/spiffe/spiffe-id.ts";

/** A consumer that cannot acknowledge counts this long after it was flushed (protocol.md, Acknowledged). */
const settleMs = 10_000;

/** Why a gate is not passed: one line a node or consumer, for the operator's eyes. */
export interface Waiting {
  /** Empty for SVIDs that an operator was handed: no node holds them. */
  readonly node: SpiffeId | "";
  /** Empty when it is the node itself that has not answered. */
  readonly consumer: string;
  readonly reason: string;
  /** A refusal blocks until somebody acts; everything else passes with time. */
  readonly blocks: boolean;
  /** Nothing was heard of the node for long. */
  readonly lost: boolean;
  /** When it counts no more whatever happens, milliseconds since the epoch; 0: not by time. */
  readonly until: number;
  /** Live SVIDs, as far as told, that a root's removal would cut off; 0 where none goes. */
  readonly svids: number;
}

/** Who is waited for, and who would be but is passed by. Nobody to wait for: the gate is open. */
export interface Gate {
  readonly waiting: readonly Waiting[];
  readonly passed: readonly { readonly node: SpiffeId; readonly why: "lost" | "by hand" }[];
}

/** Who lives, and what each last acknowledged. */
export interface GateFacts {
  readonly now: number;
  readonly records: readonly NodeRecordState[];
  /** No SVID lives longer, so nobody can claim to hold one that does (milliseconds after its acknowledgement). */
  readonly longestLifeMs: number;
  readonly ackOf: (node: SpiffeId) => Ack | undefined;
  /** The end of the last SVID that this issuer remembers to have signed for a node, by one authority or by any. */
  readonly issuedUntil: (node: SpiffeId, authority?: string) => number;
  /** Without an acknowledgement for so long, a node is lost. */
  readonly lostAfterMs: number;
  /** Since when acknowledgements could come in: this process runs, the bus is there. */
  readonly heardSince: number;
  /** Nodes that an operator passes by. */
  readonly past: ReadonlySet<SpiffeId>;
}

/** The bundle that a gate is about: any of a version above `above` will do. */
export interface GateBundle {
  readonly trustDomain: TrustDomain;
  readonly key: string;
  readonly above: Version;
  /** `spiffe_sequence` of a bundle in that version: a consumer has to have accepted a higher one. */
  readonly aboveSequence: bigint;
}

/** The authority whose root is to go. */
export interface OldAuthority {
  readonly authority: string;
  /** Hex. */
  readonly subjectKeyId: string;
  /** When the last of all SVIDs that it can have signed ends. */
  readonly lastEnd: number;
  readonly mintedUntil: number;
  /** The issuer was started a moment ago, and is reading back for whom SVIDs were signed. */
  readonly unread: boolean;
}

/** Live nodes: those with an SVID that has not ended, unless banned. */
export function liveNodes(facts: GateFacts): readonly NodeRecordState[] {
  return facts.records.filter((record) => !record.banned && lastEnd(record, facts) > facts.now);
}

/**
 * Nodes of which nothing was heard for `lostAfterMs`. Nobody is lost when more than half are: then it is the way to the issuer that is, and to
 * go on without them would cut off a fleet.
 */
export function lostNodes(facts: GateFacts): ReadonlySet<SpiffeId> {
  const live = liveNodes(facts);
  const silent = live.filter(({ node, enrolledAt }) => {
    const heard = Math.max(facts.ackOf(node)?.at ?? enrolledAt, facts.heardSince);
    return heard + facts.lostAfterMs <= facts.now;
  });
  return new Set(silent.length * 2 > live.length ? [] : silent.map(({ node }) => node));
}

/** Has every live node, and every consumer of the bundle on it, accepted a bundle above that version? Lost ones are passed by: nobody's SVID is cut off. */
export function bundleGate(facts: GateFacts, bundle: GateBundle): Gate {
  return judge(facts, "passes lost nodes", (record) => lacksBundle(record, facts, bundle));
}

/**
 * Does no live SVID of the authority exist any more? Of a node that has told so under the newest bundle its word counts; of any other one, lost or
 * not, every SVID that it may hold is waited for.
 */
export function reissueGate(facts: GateFacts, bundle: GateBundle, old: OldAuthority): Gate {
  const gate = judge(facts, "waits for lost nodes", (record) =>
    holdsOld(record, facts, { bundle, old }),
  );
  const minted = { reason: "an SVID that `svid mint` made", until: old.mintedUntil, svids: 1 };
  const reason = "the issuer is reading back which SVIDs it signed before it was started";
  const unread = { reason, until: old.unread ? old.lastEnd : 0 };
  const ofNobody = [minted, unread].filter(({ until }) => until > facts.now);
  return { ...gate, waiting: [...gate.waiting, ...ofNobody.map((one) => ({ ...nobody, ...one }))] };
}

function judge(
  facts: GateFacts,
  rule: "passes lost nodes" | "waits for lost nodes",
  waitingFor: (record: NodeRecordState) => readonly Waiting[],
): Gate {
  const lost = lostNodes(facts);
  const waiting: Waiting[] = [];
  const passed: { node: SpiffeId; why: "lost" | "by hand" }[] = [];
  for (const record of liveNodes(facts)) {
    const { node } = record;
    const here = waitingFor(record);
    if (here.length === 0) continue;
    const isLost = lost.has(node);
    if (facts.past.has(node)) passed.push({ node, why: "by hand" });
    else if (isLost && rule === "passes lost nodes") passed.push({ node, why: "lost" });
    else waiting.push(...here.map((one) => ({ ...one, lost: isLost })));
  }
  return { waiting, passed };
}

const nobody: Waiting = {
  node: "",
  consumer: "",
  reason: "",
  blocks: false,
  lost: false,
  until: 0,
  svids: 0,
};

function lacksBundle(
  record: NodeRecordState,
  facts: GateFacts,
  bundle: GateBundle,
): readonly Waiting[] {
  const { node } = record;
  const ack = facts.ackOf(node);
  if (ack === undefined || !hasApplied(ack, bundle)) {
    const reason = "has not acknowledged the bundle";
    return [{ ...nobody, node, reason, until: lastEnd(record, facts) }];
  }
  return ack.consumers.flatMap((consumer) => {
    const heldUntil = Math.min(consumer.heldUntil, ack.at + facts.longestLifeMs);
    const lack = consumerLacks({ ...consumer, heldUntil }, bundle, facts.now);
    return lack === undefined ? [] : [{ ...nobody, node, consumer: consumer.id, ...lack }];
  });
}

function holdsOld(
  record: NodeRecordState,
  facts: GateFacts,
  { bundle, old }: { readonly bundle: GateBundle; readonly old: OldAuthority },
): readonly Waiting[] {
  const { node } = record;
  const ack = facts.ackOf(node);
  const { svids, until: claimed } = usesOf(ack, old.subjectKeyId);
  const claimedUntil = Math.min(claimed, (ack?.at ?? 0) + facts.longestLifeMs);
  if (ack !== undefined && hasApplied(ack, bundle)) {
    const until = Math.min(claimedUntil, old.lastEnd);
    const reason = `${svids} live SVID(s) of the old authority`;
    return until > facts.now ? [{ ...nobody, node, reason, until, svids }] : [];
  }
  const issued = facts.issuedUntil(node, old.authority);
  // Its own SVID may be by the old authority too.
  const until = Math.min(Math.max(claimedUntil, issued, record.expiresAt), old.lastEnd);
  const reason = "has not told which authorities its SVIDs chain to";
  return until > facts.now ? [{ ...nobody, node, reason, until, svids: Math.max(svids, 1) }] : [];
}

/** All that an acknowledgement says of one authority: claimed twice counts twice, for the one who claims it. */
function usesOf(
  ack: Ack | undefined,
  subjectKeyId: string,
): { readonly svids: number; readonly until: number } {
  const uses = ack?.authorities.filter((use) => use.authority === subjectKeyId) ?? [];
  return {
    svids: uses.reduce((sum, use) => sum + use.svids, 0),
    until: uses.reduce((end, use) => Math.max(end, use.until), 0),
  };
}

function hasApplied(ack: Ack, bundle: GateBundle): boolean {
  const applied = ack.applied[bundle.key];
  return applied !== undefined && compareVersions(applied, bundle.above) > 0;
}

function consumerLacks(
  consumer: ConsumerReport,
  bundle: GateBundle,
  now: number,
): Pick<Waiting, "reason" | "blocks" | "until"> | undefined {
  const sent = consumer.sent[bundle.trustDomain];
  const { heldUntil: until } = consumer;
  if (sent === undefined) return undefined;
  // Its identity is over, so nobody talks to it: an Envoy whose entry was deleted is pushed nothing and must not hold up a fleet.
  if (until > 0 && until <= now) return undefined;
  if (consumer.refusal !== null) {
    const { name, reason } = consumer.refusal;
    return { reason: `refused ${name}: ${reason}`, blocks: true, until };
  }
  const accepted = (consumer.acknowledged[bundle.trustDomain] ?? 0n) > bundle.aboveSequence;
  if (!consumer.connected && until === 0) return undefined;
  if (!accepted)
    return {
      reason: consumer.connected
        ? "has not acknowledged the bundle"
        : "is away, and what it holds has not ended",
      blocks: false,
      until,
    };
  if (consumer.kind === "workload-api" && consumer.flushedAt + settleMs > now)
    return {
      reason: "was flushed less than 10 s ago",
      blocks: false,
      until: consumer.flushedAt + settleMs,
    };
  return undefined;
}

function lastEnd(record: NodeRecordState, facts: GateFacts): number {
  const { node, expiresAt } = record;
  const known = Math.max(expiresAt, facts.issuedUntil(node));
  const ack = facts.ackOf(node);
  if (ack === undefined) return known;
  const claimed = ack.authorities.reduce((end, use) => Math.max(end, use.until), 0);
  return Math.max(known, Math.min(claimed, ack.at + facts.longestLifeMs));
}
