import type { Bundle } from "../core/bundle/bundle.ts";
import type { Entry, NodeTraits } from "../core/policy/entry.ts";
import type { SpiffeId } from "../core/spiffe/spiffe-id.ts";
import type { CrlSet, WorkloadView } from "../core/svid/workload-view.ts";

/** What the node's state says about its workloads. */
export interface WorkloadState {
  /** Entries that hold on this node. */
  readonly entries: readonly Entry[];
  /** This node, as its manifest names it: templates take labels from it. */
  readonly node: NodeTraits;
  readonly bundle: Bundle | undefined;
  /** The own trust domain's CRLs as callers may have them; the same value while nothing changed. */
  readonly crls: CrlSet | undefined;
  /** Key id of the authority that signs now; empty when unknown. */
  readonly activeAuthority: string;
  /** Key ids of those whose keys may be in wrong hands. */
  readonly taintedAuthorities: readonly string[];
  /** False until the state was read once. */
  readonly synced: boolean;
}

/** Before anything was read. */
export const noState: WorkloadState = {
  entries: [],
  node: { id: "spiffe://unknown" as SpiffeId, labels: {} },
  bundle: undefined,
  crls: undefined,
  activeAuthority: "",
  taintedAuthorities: [],
  synced: false,
};

/** Whether all is the same but the entries and the CRLs. */
export function isSameTrust(a: WorkloadState, b: WorkloadState): boolean {
  return (
    a.bundle === b.bundle &&
    a.activeAuthority === b.activeAuthority &&
    a.taintedAuthorities.join() === b.taintedAuthorities.join() &&
    a.synced === b.synced
  );
}

/** Whether two lists, both in the order of `compareEntries`, hold the same revisions of the same entries. */
export function isSameEntries(a: readonly Entry[], b: readonly Entry[]): boolean {
  return (
    a.length === b.length &&
    a.every((entry, index) => entry.id === b[index]?.id && entry.revision === b[index].revision)
  );
}

/** Whether a caller that has seen one need not be told of the other. */
export function isSameView(a: WorkloadView, b: WorkloadView): boolean {
  return (
    a.synced === b.synced &&
    a.svids.length === b.svids.length &&
    a.svids.every((svid, index) => svid === b.svids[index]) &&
    a.bundles.get(a.trustDomain) === b.bundles.get(b.trustDomain) &&
    a.crls.get(a.trustDomain) === b.crls.get(b.trustDomain)
  );
}
