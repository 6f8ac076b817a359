import { reasonOf } from "../../kit/errors.ts";
import {
  isReserved,
  parseSpiffeId,
  pathOf,
  type TrustDomain,
  trustDomainOf,
} from "../spiffe/spiffe-id.ts";
import type { EntrySpec } from "./entry.ts";
import type { Finding } from "./finding.ts";
import { lintSelectors } from "./lint-selectors.ts";
import { checkTemplate } from "./template.ts";

/** What an entry is held against. */
export interface LintContext {
  readonly trustDomain: TrustDomain;
  readonly maxTtlSeconds: number;
  readonly now: number;
}

/** With these an entry stays below 32 KiB, and a page of them below what one message carries. */
const most = {
  selectors: 16,
  dnsNames: 16,
  federatesWith: 16,
  allowedPeers: 32,
  ids: 1000,
} as const;

/** Everything that is wrong, or doubtful, about an entry; pure, and the same wherever entries are written. */
export function lintEntry(entry: EntrySpec, context: LintContext): readonly Finding[] {
  return [
    ...lintIdentity(entry, context),
    ...lintSizes(entry),
    ...lintSelectors(entry.selectors),
    ...lintNodes(entry),
    ...lintLifetimes(entry, context),
    ...lintNames(entry),
    ...lintPeers(entry, context),
  ];
}

function lintIdentity(entry: EntrySpec, { trustDomain }: LintContext): readonly Finding[] {
  const refuse = (
    rule: "ENT-ID" | "ENT-RESERVED" | "ENT-TEMPLATE",
    reason: string,
    cure: string,
  ) => [{ rule, level: "error", field: "spiffe-id", reason, cure } as const];
  const { spiffeId, template } = entry;
  if (trustDomainOf(spiffeId) !== trustDomain) {
    return refuse(
      "ENT-ID",
      `${spiffeId} is not in this trust domain (${trustDomain})`,
      `start with spiffe://${trustDomain}/`,
    );
  }
  if (template !== "") return lintTemplate(entry, trustDomain);
  if (pathOf(spiffeId) === "")
    return refuse("ENT-ID", "a workload's ID has a path", "add one, such as /web");
  if (isReserved(spiffeId)) {
    return refuse(
      "ENT-RESERVED",
      "paths below /herald/ are reserved for Herald's own nodes and issuers",
      "choose another path",
    );
  }
  return [];
}

function lintTemplate(entry: EntrySpec, trustDomain: TrustDomain): readonly Finding[] {
  const finding = (reason: string, cure: string): Finding => ({
    rule: "ENT-TEMPLATE",
    level: "error",
    field: "spiffe-id",
    reason,
    cure,
  });
  const admin = entry.admin
    ? [finding("a template cannot be an admin entry", "name the one identity that may give orders")]
    : [];
  try {
    checkTemplate(entry.template, trustDomain);
    return admin;
  } catch (thrown) {
    const cure = `write, for instance, spiffe://${trustDomain}/{node.label.region}/{unix.user}`;
    return [...admin, finding(`the template does not hold: ${reasonOf(thrown)}`, cure)];
  }
}

function lintSizes(entry: EntrySpec): readonly Finding[] {
  const ids = entry.nodes.kind === "ids" ? entry.nodes.ids.length : 0;
  const counts = [
    ["selector", entry.selectors.length, most.selectors],
    ["dns-name", entry.dnsNames.length, most.dnsNames],
    ["federates-with", entry.federatesWith.length, most.federatesWith],
    ["allowed-peer", entry.allowedPeers.length, most.allowedPeers],
    ["node", ids, most.ids],
  ] as const;
  return counts.flatMap(([field, given, limit]): readonly Finding[] =>
    given <= limit
      ? []
      : [
          {
            rule: "ENT-SIZE",
            level: "error",
            field,
            reason: `${given} are given, ${limit} at most fit`,
            cure: field === "node" ? "select nodes by label" : "make two entries of it",
          },
        ],
  );
}

function lintNodes(entry: EntrySpec): readonly Finding[] {
  if (!entry.admin || entry.nodes.kind !== "all") return [];
  return [
    {
      rule: "ENT-ADMIN",
      level: "overridable",
      field: "node",
      reason:
        "an admin entry for all nodes lets whoever breaks into any of them give orders to the issuer",
      cure: "name the nodes of your operators, by --node or --node-label",
    },
  ];
}

function lintLifetimes(entry: EntrySpec, { maxTtlSeconds, now }: LintContext): readonly Finding[] {
  const lifetimes = [
    ["x509-ttl", entry.x509TtlSeconds],
    ["jwt-ttl", entry.jwtTtlSeconds],
  ] as const;
  const wrong = lifetimes.flatMap(([field, ttl]): readonly Finding[] =>
    ttl >= 1 && ttl <= maxTtlSeconds
      ? []
      : [
          {
            rule: "ENT-TTL",
            level: "error",
            field,
            reason: `${ttl} s is not between 1 and this issuer's limit of ${maxTtlSeconds} s`,
            cure: "ask for less, or raise maxX509Ttl in the issuer's configuration",
          },
        ],
  );
  if (entry.expiresAt === 0 || entry.expiresAt > now) return wrong;
  return [
    ...wrong,
    {
      rule: "ENT-EXPIRED",
      level: "error",
      field: "expires-at",
      reason: `${new Date(entry.expiresAt).toISOString()} is over`,
      cure: "give a time to come, or none",
    },
  ];
}

function lintNames(entry: EntrySpec): readonly Finding[] {
  const names = entry.dnsNames.flatMap((name): readonly Finding[] => {
    const field = "dns-name";
    const written = JSON.stringify(name.slice(0, 253));
    if (!isDnsName(name.replace(/^\*\./, ""))) {
      const cure = "write lower-case letters, digits and hyphens between dots";
      return [
        { rule: "ENT-DNS", level: "error", field, reason: `${written} is not a DNS name`, cure },
      ];
    }
    if (!name.startsWith("*.")) return [];
    const reason = `${written} lets its holder speak for every name below it`;
    return [{ rule: "ENT-WILDCARD", level: "overridable", field, reason, cure: "list the names" }];
  });
  if (Buffer.byteLength(entry.hint) <= 1024) return names;
  return [
    ...names,
    {
      rule: "ENT-HINT",
      level: "error",
      field: "hint",
      reason: "is longer than 1024 bytes (WAPI-16)",
      cure: "shorten it",
    },
  ];
}

function lintPeers(entry: EntrySpec, { trustDomain }: LintContext): readonly Finding[] {
  const own = entry.federatesWith.includes(trustDomain)
    ? [
        {
          rule: "ENT-FEDERATION",
          level: "error",
          field: "federates-with",
          reason: `${trustDomain} is this trust domain`,
          cure: "name foreign ones only; its own bundle every workload has",
        } as const,
      ]
    : [];
  const peers = entry.allowedPeers.flatMap((peer): readonly Finding[] =>
    isPeerPattern(peer)
      ? []
      : [
          {
            rule: "ENT-PEER",
            level: "error",
            field: "allowed-peer",
            reason: `${JSON.stringify(peer.slice(0, 200))} is neither a SPIFFE ID nor a pattern`,
            cure: "write spiffe://td/path, or spiffe://td/path/* for everything below it",
          },
        ],
  );
  return [...own, ...peers];
}

/** A SPIFFE ID, or one followed by a last segment of one star. */
function isPeerPattern(text: string): boolean {
  try {
    const id = parseSpiffeId(text.endsWith("/*") ? text.slice(0, -2) : text);
    return text.endsWith("/*") || pathOf(id) !== "";
  } catch {
    return false;
  }
}

/** RFC 1035, section 2.3.1; a name of digits and dots only would be read as an address. */
function isDnsName(name: string): boolean {
  return (
    name.length <= 253 &&
    !/^[0-9.]+$/.test(name) &&
    /^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/.test(name)
  );
}
