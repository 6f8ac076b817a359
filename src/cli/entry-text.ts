import type { Entry, LintFinding } from "../wire/herald/v1/entries.ts";
import { isoOrNull, isoSeconds, printMoment, printSpan } from "./moment.ts";
import { facts, listed, printLabels } from "./table.ts";

/** How entries look to people and to programs. */

export const entryHeading: readonly string[] = [
  "ID",
  "SPIFFE ID",
  "SELECTORS",
  "NODES",
  "TTL",
  "PRIORITY",
  "CREATED",
];

export function entryRow(entry: Entry, now: number): readonly string[] {
  return [
    entry.id,
    entry.spiffeId,
    listed(entry.selectors),
    nodesOf(entry),
    printSpan(entry.x509TtlSeconds * 1000),
    String(entry.priority),
    printMoment(entry.createdAt, now),
  ];
}

/** What was done, and to which entry; what has its default is left out. */
export function shownEntry(entry: Entry | undefined, what: string): string {
  if (entry === undefined) return `${what}\n`;
  const some = (name: string, values: readonly string[]) =>
    values.length === 0 ? [] : [[name, listed(values)] as const];
  return facts([
    [what, entry.id],
    ["SPIFFE ID", entry.spiffeId],
    ["selectors", listed(entry.selectors)],
    ["nodes", nodesOf(entry)],
    ["lifetime", `${entry.x509TtlSeconds} s`],
    ...some("DNS names", entry.dnsNames),
    ...some("federates with", entry.federatesWith),
    ...some("allowed peers", entry.allowedPeers),
    ...(entry.hint === "" ? [] : [["hint", entry.hint] as const]),
    ...(entry.admin ? [["admin", "its workloads may give orders to issuers"] as const] : []),
    ["priority", String(entry.priority)],
    ...(entry.onDemand ? [["signed", "when a workload asks"] as const] : []),
    ...(entry.expiresAt === 0n ? [] : [["ends", isoSeconds(Number(entry.expiresAt))] as const]),
    ...(entry.set === "" ? [] : [["set", entry.set] as const]),
    ...(entry.name === "" ? [] : [["name", entry.name] as const]),
  ]);
}

/** As {@link shownEntry}, with what only somebody who is about to change it wants to know. */
export function wholeEntry(entry: Entry, now: number): string {
  return `${shownEntry(entry, "entry")}${facts([
    ["revision", entry.revision],
    ["JWT lifetime", `${entry.jwtTtlSeconds} s`],
    ["created", printMoment(entry.createdAt, now)],
  ])}`;
}

export function entryLine(entry: Entry | undefined, warnings: readonly LintFinding[] = []): string {
  const told = warnings.length === 0 ? {} : { warnings };
  return `${JSON.stringify({ entry: entry === undefined ? null : entryJson(entry), ...told })}\n`;
}

export function entryJson(entry: Entry): unknown {
  return {
    ...entry,
    nodes: { ids: entry.nodes?.ids ?? [], labels: Object.fromEntries(entry.nodes?.labels ?? []) },
    createdAt: isoOrNull(entry.createdAt),
    expiresAt: isoOrNull(entry.expiresAt),
  };
}

/** For stderr: what the linter thinks of something that was done nevertheless. */
export function warningLines(warnings: readonly LintFinding[]): string {
  return warnings
    .map(({ rule, field, reason, cure, entry }) => {
      const where = entry === "" ? field : `${entry}: ${field}`;
      return `warning: ${where}: ${reason} (${rule}); ${cure}\n`;
    })
    .join("");
}

function nodesOf(entry: Entry): string {
  const { ids = [], labels: wanted = new Map<string, string>() } = entry.nodes ?? {};
  if (ids.length > 0) return listed(ids);
  return wanted.size > 0 ? printLabels(wanted) : "all";
}
