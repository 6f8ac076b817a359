import { type Entry, givenId, type NewEntry, type NodeSelection } from "../../core/policy/entry.ts";
import type { Finding } from "../../core/policy/finding.ts";
import { lintRules } from "../../core/policy/finding.ts";
import { isTemplate } from "../../core/policy/template.ts";
import { parseSelector } from "../../core/spiffe/selector.ts";
import {
  parseSpiffeId,
  parseTrustDomain,
  type SpiffeId,
  type TrustDomain,
  trustDomainId,
} from "../../core/spiffe/spiffe-id.ts";
import type * as wire from "../../wire/herald/v1/entries.ts";
import type { EntryFilter } from "../entries/entry-list.ts";
import { IssuerError, inField } from "../error.ts";

/** Entries between the admin API's messages and the issuer. */

/** @throws IssuerError ENTRY_INVALID, SpiffeIdError */
export function entryOf(spec: wire.EntrySpec | undefined, trustDomain: TrustDomain): NewEntry {
  if (spec === undefined)
    throw new IssuerError("ENTRY_INVALID", "entry: is missing; say what it is", { field: "entry" });
  const template = isTemplate(spec.spiffeId) ? spec.spiffeId : "";
  return {
    spiffeId:
      template === ""
        ? inField("spiffe_id", () => parseSpiffeId(spec.spiffeId))
        : trustDomainId(trustDomain),
    template,
    nodes: selectionOf(spec.nodes),
    selectors: spec.selectors.map((selector, at) =>
      inField(`selectors[${at}]`, () => parseSelector(selector)),
    ),
    x509TtlSeconds: spec.x509TtlSeconds,
    jwtTtlSeconds: spec.jwtTtlSeconds,
    dnsNames: spec.dnsNames,
    federatesWith: spec.federatesWith.map((name, at) =>
      inField(`federates_with[${at}]`, () => parseTrustDomain(name)),
    ),
    hint: spec.hint,
    admin: spec.admin,
    priority: spec.priority,
    allowedPeers: spec.allowedPeers,
    expiresAt: momentOf(spec.expiresAt),
    keepWarm: !spec.onDemand,
    name: nameOf(spec.name),
  };
}

/** @throws IssuerError ENTRY_INVALID for a rule that there is not */
export function allowedOf(rules: readonly string[]): ReadonlySet<string> {
  for (const rule of rules) {
    if ((lintRules as readonly string[]).includes(rule)) continue;
    throw new IssuerError(
      "ENTRY_INVALID",
      `allow: ${JSON.stringify(rule.slice(0, 40))} is no rule of the linter; they are ${lintRules.join(", ")}`,
      { field: "allow" },
    );
  }
  return new Set(rules);
}

/** @throws IssuerError ENTRY_INVALID */
export function revisionOf(text: string): bigint {
  if (/^[0-9]{1,20}$/.test(text)) return BigInt(text);
  throw new IssuerError(
    "ENTRY_INVALID",
    "revision: is no number; say the one that `herald entry show` tells",
    { field: "revision" },
  );
}

export function filterOf(
  request: wire.ListEntriesRequest,
  labelsOf: (node: SpiffeId) => Readonly<Record<string, string>>,
): EntryFilter {
  const node = request.node === "" ? "" : inField("node", () => parseSpiffeId(request.node));
  const { spiffeId, selector, hint, admin, federatesWith, set } = request;
  const labels = Object.fromEntries(request.labels);
  const nodeLabels = node === "" ? {} : labelsOf(node);
  return { spiffeId, selector, node, nodeLabels, labels, hint, admin, federatesWith, set };
}

export function entryMessage(entry: Entry): wire.Entry {
  const { nodes, spiffeId: _id, template: _template, keepWarm, ...rest } = entry;
  return {
    ...rest,
    spiffeId: givenId(entry),
    revision: String(entry.revision),
    nodes: {
      ids: nodes.kind === "ids" ? nodes.ids : [],
      labels: new Map(nodes.kind === "labels" ? Object.entries(nodes.labels) : []),
    },
    createdAt: BigInt(entry.createdAt),
    expiresAt: BigInt(entry.expiresAt),
    onDemand: !keepWarm,
  };
}

export function findingMessage(
  { rule, field, reason, cure }: Finding,
  entry = "",
): wire.LintFinding {
  return { rule, field, reason, cure, entry };
}

function selectionOf(message: wire.NodeSelection | undefined): NodeSelection {
  if (message !== undefined && message.ids.length > 0 && message.labels.size > 0) {
    throw new IssuerError("ENTRY_INVALID", "nodes: select by ids or by labels, not both", {
      field: "nodes",
    });
  }
  if (message !== undefined && message.ids.length > 0)
    return {
      kind: "ids",
      ids: message.ids.map((id, at) => inField(`nodes.ids[${at}]`, () => parseSpiffeId(id))),
    };
  if (message !== undefined && message.labels.size > 0)
    return { kind: "labels", labels: Object.fromEntries(message.labels) };
  return { kind: "all" };
}

/** int64 on the wire, a safe integer here. */
function momentOf(ms: bigint): number {
  if (ms >= 0n && ms <= BigInt(Number.MAX_SAFE_INTEGER)) return Number(ms);
  throw new IssuerError("ENTRY_INVALID", "expires-at: is no time; give one to come", {
    field: "expires_at",
  });
}

function nameOf(name: string): string {
  if (name === "" || /^[A-Za-z0-9][A-Za-z0-9._/-]{0,127}$/.test(name)) return name;
  throw new IssuerError(
    "ENTRY_INVALID",
    `name: ${JSON.stringify(name.slice(0, 80))}: use 1 to 128 of letters, digits, . _ / -`,
    { field: "name" },
  );
}
