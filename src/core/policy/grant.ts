import { type Selector, selectorsMatch } from "../spiffe/selector.ts";
import { type SpiffeId, trustDomainOf } from "../spiffe/spiffe-id.ts";
import { type Entry, isExpired, type NodeTraits, selectsNode } from "./entry.ts";
import { PolicyError } from "./error.ts";
import { expandTemplate } from "./template.ts";

/** Who asks for an entry's SVID. */
export interface Asking {
  readonly node: NodeTraits;
  /** The caller's, or undefined for an SVID that is kept warm for whoever will come. */
  readonly selectors: readonly Selector[] | undefined;
  readonly now: number;
}

/** What an entry gives. */
export interface Grant {
  readonly id: SpiffeId;
  readonly dnsNames: readonly string[];
  /** Never beyond the entry's own end. */
  readonly ttlSeconds: number;
}

/**
 * What an entry gives to one caller; whether it holds on the node is decided before. Node and issuer both ask this, so they agree; the
 * issuer by its own record of the node.
 * @throws {PolicyError} ENTRY_EXPIRED, SELECTORS_MISSING, TEMPLATE_INVALID, TEMPLATE_UNRESOLVED
 */
export function grantOf(entry: Entry, asking: Asking): Grant {
  const { node, selectors, now } = asking;
  const leftSeconds = Math.floor((entry.expiresAt - now) / 1000);
  if (isExpired(entry, now) || (entry.expiresAt !== 0 && leftSeconds < 1))
    throw new PolicyError(
      "ENTRY_EXPIRED",
      `the entry ended ${new Date(entry.expiresAt).toISOString()}`,
    );
  if (selectors !== undefined && !selectorsMatch(entry.selectors, new Set(selectors)))
    throw new PolicyError("SELECTORS_MISSING", "the caller lacks selectors of the entry");
  const ttlSeconds =
    entry.expiresAt === 0 ? entry.x509TtlSeconds : Math.min(entry.x509TtlSeconds, leftSeconds);
  return { id: idOf(entry, node, selectors), dnsNames: entry.dnsNames, ttlSeconds };
}

/**
 * Refuses what a template was filled in to when entries name that identity themselves, and none of them is for this caller on this node: the
 * values are the node's word, and would make it whatever anybody else is (TM-N-01).
 * @throws {PolicyError} TEMPLATE_TAKEN
 */
export function refuseTaken(id: SpiffeId, named: readonly Entry[], asking: Asking): void {
  const { node, selectors, now } = asking;
  const held = new Set(selectors);
  const isGiven = (entry: Entry): boolean =>
    selectsNode(entry.nodes, node) &&
    selectorsMatch(entry.selectors, held) &&
    !isExpired(entry, now);
  if (named.length === 0 || named.some(isGiven)) return;
  throw new PolicyError(
    "TEMPLATE_TAKEN",
    `${id} is what another entry gives to others; begin the template with a path of its own`,
  );
}

function idOf(
  entry: Entry,
  node: NodeTraits,
  selectors: readonly Selector[] | undefined,
): SpiffeId {
  if (entry.template === "") return entry.spiffeId;
  if (selectors === undefined)
    throw new PolicyError("TEMPLATE_UNRESOLVED", "a template needs a caller to be expanded for");
  return expandTemplate(entry.template, trustDomainOf(entry.spiffeId), {
    selectors,
    labels: node.labels,
  });
}
