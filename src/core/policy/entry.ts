import type { Selector } from "../spiffe/selector.ts";
import type { SpiffeId } from "../spiffe/spiffe-id.ts";

/** Who, on which nodes, gets which SPIFFE ID (SPIRE: registration entry). */
export interface Entry {
  /** Lower-case token, given by the issuer. */
  readonly id: string;
  /** Grows with each change: the `seq` the entry was signed under. A sign-request names it, so that an outdated one is refused. */
  readonly revision: bigint;
  readonly spiffeId: SpiffeId;
  readonly nodes: NodeSelection;
  /** What the workload must have; all of them (never empty). */
  readonly selectors: readonly Selector[];
  /** Lifetime of its X.509-SVIDs, seconds; never more than the issuer's limit. */
  readonly x509TtlSeconds: number;
  readonly dnsNames: readonly string[];
  /** Tells a workload with several identities which is which; empty for none. */
  readonly hint: string;
  /** Higher comes first in the caller's list of identities; then the older entry, then the lower id (WAPI-18). */
  readonly priority: number;
  readonly createdAt: number;
}

/** On which nodes an entry holds. */
export type NodeSelection =
  | { readonly kind: "all" }
  | { readonly kind: "ids"; readonly ids: readonly SpiffeId[] }
  | { readonly kind: "labels"; readonly labels: Readonly<Record<string, string>> };

/** What is known of a node when entries are matched to it. */
export interface NodeTraits {
  readonly id: SpiffeId;
  readonly labels: Readonly<Record<string, string>>;
}

/** Does this entry hold on that node? All labels must be there with the same value. */
export function selectsNode(selection: NodeSelection, node: NodeTraits): boolean {
  switch (selection.kind) {
    case "all":
      return true;
    case "ids":
      return selection.ids.includes(node.id);
    case "labels":
      return Object.entries(selection.labels).every(([name, value]) => node.labels[name] === value);
  }
}

/** The order in which a caller sees its identities: the first is the default one (WAPI-18, OQ-9). */
export function compareEntries(a: Entry, b: Entry): number {
  return (
    b.priority - a.priority || a.createdAt - b.createdAt || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0)
  );
}
