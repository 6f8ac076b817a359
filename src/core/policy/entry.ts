import type { Selector } from "../spiffe/selector.ts";
import type { SpiffeId, TrustDomain } from "../spiffe/spiffe-id.ts";

/** What an entry says; who wrote it down when is in {@link Entry}. */
export interface EntrySpec {
  /** The identity; of a template the trust domain's own ID, which no workload can get: whoever forgets to expand it is refused. */
  readonly spiffeId: SpiffeId;
  /** `spiffe://td/{node.label.region}/{unix.user}`: the identity follows from who asks ({@link expandTemplate}). Empty for none. */
  readonly template: string;
  readonly nodes: NodeSelection;
  /** What the workload must have; all of them (never empty). */
  readonly selectors: readonly Selector[];
  /** Lifetime of its X.509-SVIDs, seconds; never more than the issuer's limit. */
  readonly x509TtlSeconds: number;
  /** Lifetime of its JWT-SVIDs, seconds. */
  readonly jwtTtlSeconds: number;
  readonly dnsNames: readonly string[];
  /** Foreign trust domains whose bundles its workloads are given. */
  readonly federatesWith: readonly TrustDomain[];
  /** Tells a workload with several identities which is which; empty for none. */
  readonly hint: string;
  /** Its workloads may give orders to issuers. */
  readonly admin: boolean;
  /** Higher comes first in the caller's list of identities; then the older entry, then the lower id (WAPI-18). */
  readonly priority: number;
  /** SPIFFE IDs, or patterns that end in a segment of one star, whom its workloads talk to; empty: anybody. */
  readonly allowedPeers: readonly string[];
  /** From then on it gives nothing; milliseconds since the epoch, 0 for never. */
  readonly expiresAt: number;
  /** Nodes sign for it before anybody asks; otherwise when the first caller comes. A template is never kept warm. */
  readonly keepWarm: boolean;
  /** Names it within its set, so that a declaration can change everything else of it; empty for none. */
  readonly name: string;
}

/** Who, on which nodes, gets which SPIFFE ID (SPIRE: registration entry). */
export interface Entry extends EntrySpec {
  /** Lower-case token, given by the issuer. */
  readonly id: string;
  /** Grows with each change: the `seq` the entry was signed under. A sign-request names it, so that an outdated one is refused. */
  readonly revision: bigint;
  /** The declared set that it belongs to; empty for one that was created by itself. */
  readonly set: string;
  readonly createdAt: number;
}

/** What an operator gives to make an entry; what is left out has its default. */
export type NewEntry = Pick<
  EntrySpec,
  "spiffeId" | "nodes" | "selectors" | "x509TtlSeconds" | "dnsNames" | "hint" | "priority"
> &
  Partial<EntrySpec>;

/** Lifetimes for entries that name none, seconds. */
export interface DefaultTtls {
  readonly x509: number;
  readonly jwt: number;
}

/** A new entry with everything that was left out; lifetimes of 0 are left out too. */
export function entrySpec(wanted: NewEntry, ttls: DefaultTtls): EntrySpec {
  const { spiffeId, nodes, selectors, dnsNames, hint, priority } = wanted;
  const { template = "", federatesWith = [], admin = false, allowedPeers = [] } = wanted;
  const { expiresAt = 0, keepWarm = true, name = "", jwtTtlSeconds = 0 } = wanted;
  return {
    spiffeId,
    template,
    nodes,
    selectors,
    x509TtlSeconds: wanted.x509TtlSeconds === 0 ? ttls.x509 : wanted.x509TtlSeconds,
    jwtTtlSeconds: jwtTtlSeconds === 0 ? ttls.jwt : jwtTtlSeconds,
    dnsNames,
    federatesWith,
    hint,
    admin,
    priority,
    allowedPeers,
    expiresAt,
    keepWarm: keepWarm && template === "",
    name,
  };
}

/** The identity as its writer gave it: a SPIFFE ID or a template. */
export function givenId(entry: Pick<EntrySpec, "spiffeId" | "template">): string {
  return entry.template === "" ? entry.spiffeId : entry.template;
}

/** Has the entry's end come? */
export function isExpired(entry: Pick<EntrySpec, "expiresAt">, now: number): boolean {
  return entry.expiresAt !== 0 && entry.expiresAt <= now;
}

/** What makes two entries the same rule: same identity, same nodes, same selectors, in whatever order they are listed. */
export function ruleOf(
  entry: Pick<EntrySpec, "spiffeId" | "template" | "nodes" | "selectors">,
): string {
  return JSON.stringify([givenId(entry), selectionText(entry.nodes), entry.selectors.toSorted()]);
}

/** A selection of nodes as one text: equal for equal ones. */
export function selectionText(nodes: NodeSelection): string {
  switch (nodes.kind) {
    case "all":
      return "all";
    case "ids":
      return JSON.stringify(nodes.ids.toSorted());
    case "labels":
      return JSON.stringify(Object.entries(nodes.labels).toSorted(([a], [b]) => (a < b ? -1 : 1)));
  }
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
