import type { Entry } from "../core/policy/entry.ts";

/** Lifetime as a certificate states it, milliseconds. */
export interface Lifetime {
  readonly notBefore: number;
  readonly notAfter: number;
}

/** However short lives are, and whatever went wrong: one SVID is not asked for more often than this. */
const leastAgeMs = 1000;

/**
 * When an SVID is renewed: at half its life, give or take a tenth of it. `spread` is in [0, 1) and spreads a fleet (ISTIO-08). Life counts
 * from when it came, since certificates are backdated.
 */
export function renewAt(life: Lifetime & { readonly receivedAt: number }, spread: number): number {
  const from = Math.min(Math.max(life.notBefore, life.receivedAt), life.notAfter);
  const half = from + (life.notAfter - from) * (0.5 + (spread - 0.5) * 0.2);
  return Math.max(half, life.receivedAt + leastAgeMs);
}

/** What the planner knows of an SVID that is held. */
export interface HeldSvid extends Lifetime {
  readonly entry: string;
  readonly revision: bigint;
  /** Key id of the authority that signed it. */
  readonly authority: string;
  /** Which authority was the active one when it was asked for: the answer may come from a later one than this node has heard of. */
  readonly askedUnder: string;
  /** When it came, or was taken out of the cache; milliseconds since the epoch. */
  readonly receivedAt: number;
  /** In [0, 1), fixed when the SVID came. */
  readonly spread: number;
}

/** What to do about a node's SVIDs now. */
export interface Plan {
  /** Entries to be signed now, the most urgent first. */
  readonly due: readonly Entry[];
  /** Entries whose SVID is held and no longer theirs. */
  readonly gone: readonly string[];
  /** When to plan again, milliseconds since the epoch; infinity when nothing is ever due. */
  readonly next: number;
}

/** Everything that a plan depends on. */
export interface PlanInput {
  /** Entries that hold on this node. */
  readonly entries: readonly Entry[];
  readonly held: ReadonlyMap<string, HeldSvid>;
  /** Key id of the authority that signs now; empty when unknown. */
  readonly activeAuthority: string;
  /** Key ids of authorities whose keys may be in wrong hands: what they signed is due at once. */
  readonly tainted: readonly string[];
  /** Since when it does, on this node's clock. */
  readonly activeSince: number;
  /** Re-issuance after a change of authority is spread over this long. */
  readonly reissueSpreadMs: number;
  readonly now: number;
}

/** Decides which SVIDs to ask for. Pure: the same input gives the same plan. */
export function plan(input: PlanInput): Plan {
  const due: { readonly entry: Entry; readonly urgency: number }[] = [];
  let next = Number.POSITIVE_INFINITY;
  for (const entry of input.entries) {
    const at = dueAt(entry, input);
    if (at <= input.now) due.push({ entry, urgency: input.held.get(entry.id)?.notAfter ?? 0 });
    else next = Math.min(next, at);
  }
  const wanted = new Set(input.entries.map((entry) => entry.id));
  const gone = [...input.held.keys()].filter((id) => !wanted.has(id));
  return {
    due: due.toSorted((a, b) => a.urgency - b.urgency).map(({ entry }) => entry),
    gone,
    next,
  };
}

/**
 * Was it signed by another authority than the one that signs now? Not when that one was known already when it was asked for: then the issuer
 * is ahead of what this node was told, and asking again would give the same.
 */
export function isOfOther(
  held: Pick<HeldSvid, "authority" | "askedUnder">,
  activeAuthority: string,
): boolean {
  return (
    activeAuthority !== "" &&
    held.authority !== activeAuthority &&
    held.askedUnder !== activeAuthority
  );
}

function dueAt(entry: Entry, input: PlanInput): number {
  const held = input.held.get(entry.id);
  if (held === undefined || held.revision !== entry.revision) return input.now;
  const regular = renewAt(held, held.spread);
  if (input.tainted.includes(held.authority) && isOfOther(held, input.activeAuthority))
    return input.now;
  return isOfOther(held, input.activeAuthority)
    ? Math.min(
        regular,
        Math.max(input.activeSince, held.receivedAt) + held.spread * input.reissueSpreadMs,
      )
    : regular;
}
