import { type Selector, selectorsMatch } from "../core/spiffe/selector.ts";
import type { TrustDomain } from "../core/spiffe/spiffe-id.ts";
import type { WorkloadView } from "../core/svid/workload-view.ts";
import type { Held } from "./held.ts";
import { nameFor } from "./wanted.ts";
import type { WorkloadState } from "./workload-state.ts";

/** What a caller with these selectors is given now, out of what is held. */
export function viewOf(
  state: WorkloadState,
  held: ReadonlyMap<string, Held>,
  caller: {
    readonly trustDomain: TrustDomain;
    readonly selectors: ReadonlySet<Selector>;
    readonly now: number;
  },
): WorkloadView {
  const { bundle, entries, crls: own, synced, node } = state;
  const { trustDomain, selectors, now } = caller;
  const mine = entries
    .filter((entry) => selectorsMatch(entry.selectors, selectors))
    .flatMap((entry) => nameFor(entry, selectors, { node, now }) ?? []);
  const svids = mine.flatMap((name) => {
    const one = held.get(name);
    return one === undefined || one.notAfter <= now ? [] : [one.svid];
  });
  const bundles = new Map(bundle === undefined ? [] : [[trustDomain, bundle] as const]);
  const crls = new Map(own === undefined ? [] : [[trustDomain, own] as const]);
  return { trustDomain, svids, bundles, crls, synced: synced && svids.length === mine.length };
}
