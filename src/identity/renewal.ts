import type { Entry } from "../core/policy/entry.ts";

/** Lifetime as a certificate states it, milliseconds. */
export interface Lifetime {
  readonly notBefore: number;
  readonly notAfter: number;
}

/** When an SVID is renewed: at half its life, give or take a tenth of it. `spread` is in [0, 1) and spreads a fleet (ISTIO-08). */
export function renewAt(life: Lifetime, spread: number): number {
  const length = life.notAfter - life.notBefore;
  return life.notBefore + length * (0.5 + (spread - 0.5) * 0.2);
}

/** What the planner knows of an SVID that is held. */
export interface HeldSvid extends Lifetime {
  readonly entry: string;
  readonly revision: bigint;
  /** Key id of the authority that signed it. */
  readonly authority: string;
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

function dueAt(entry: Entry, input: PlanInput): number {
  const held = input.held.get(entry.id);
  if (held === undefined || held.revision !== entry.revision) return input.now;
  const regular = renewAt(held, held.spread);
  const isSignedByOther = input.activeAuthority !== "" && held.authority !== input.activeAuthority;
  return isSignedByOther
    ? Math.min(regular, input.activeSince + held.spread * input.reissueSpreadMs)
    : regular;
}
