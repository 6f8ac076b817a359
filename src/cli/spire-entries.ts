import { z } from "zod";
import { entrySpec } from "../core/policy/entry.ts";
import { findingText, refusals } from "../core/policy/finding.ts";
import { lintEntry } from "../core/policy/lint.ts";
import { parseSelector } from "../core/spiffe/selector.ts";
import { parseSpiffeId, parseTrustDomain, trustDomainOf } from "../core/spiffe/spiffe-id.ts";
import { HeraldError } from "../kit/errors.ts";
import { CliError } from "./cli-error.ts";
import type { FileEntry, FileNodes } from "./entry-file.ts";

/** What `spire-server entry show -output json` prints: protocol buffers' JSON with the names of the proto, every member there, 64-bit integers as strings. */
const id = z.object({ trust_domain: z.string(), path: z.string() });
const integer = z.union([
  z.number().int(),
  z
    .string()
    .regex(/^\d{1,15}$/)
    .transform(Number),
]);
const spireEntry = z.object({
  id: z.string(),
  spiffe_id: id,
  parent_id: id,
  selectors: z.array(z.object({ type: z.string(), value: z.string() })),
  x509_svid_ttl: integer.default(0),
  jwt_svid_ttl: integer.default(0),
  federates_with: z.array(z.string()).default([]),
  hint: z.string().default(""),
  admin: z.boolean().default(false),
  downstream: z.boolean().default(false),
  /** Seconds since the epoch, 0 for never. */
  expires_at: integer.default(0),
  dns_names: z.array(z.string()).default([]),
  store_svid: z.boolean().default(false),
});
const spireFile = z.object({
  entries: z.array(z.unknown()),
  next_page_token: z.string().default(""),
});

type SpireEntry = z.output<typeof spireEntry>;

/** On which of Herald's nodes the entries of a SPIRE parent hold. */
export type ParentMap = ReadonlyMap<string, FileNodes>;

/** What becomes of a SPIRE server's entries. */
export interface SpireImport {
  readonly entries: readonly FileEntry[];
  /** What has no counterpart, by SPIRE's id, and why. */
  readonly unsupported: readonly {
    readonly id: string;
    readonly spiffeId: string;
    readonly reason: string;
  }[];
  /** Node aliases: they say nothing of workloads, and live on in the map. */
  readonly aliases: readonly string[];
}

/** @throws {CliError} USAGE when the text is not SPIRE's */
export function readSpireEntries(path: string, text: string, parents: ParentMap): SpireImport {
  const read = entriesOf(path, text);
  const entries: FileEntry[] = [];
  const unsupported: { id: string; spiffeId: string; reason: string }[] = [];
  const aliases: string[] = [];
  for (const entry of read) {
    const spiffeId = idText(entry.spiffe_id);
    if (entry.parent_id.path === "/spire/server") {
      aliases.push(spiffeId);
      continue;
    }
    const found = mapped(entry, parents);
    if (typeof found === "string") unsupported.push({ id: entry.id, spiffeId, reason: found });
    else entries.push(found);
  }
  return { entries, unsupported, aliases };
}

/** One entry of Herald's, or why there is none. */
function mapped(entry: SpireEntry, parents: ParentMap): FileEntry | string {
  if (entry.downstream) return "downstream: Herald has no nested servers";
  if (entry.store_svid) return "store_svid: Herald stores SVIDs in no foreign store";
  const parent = idText(entry.parent_id);
  const nodes = parents.get(parent) ?? parents.get("*");
  if (nodes === undefined) {
    return `parent ${parent}: which of Herald's nodes are that? Say --map ${parent}=label:NAME=VALUE, =node:SPIFFE-ID or =all`;
  }
  const made: FileEntry = {
    name: `spire/${entry.id}`,
    spiffeId: idText(entry.spiffe_id),
    nodes,
    selectors: entry.selectors.map(({ type, value }) => `${type}:${value}`),
    ...(entry.x509_svid_ttl === 0 ? {} : { x509Ttl: entry.x509_svid_ttl }),
    ...(entry.jwt_svid_ttl === 0 ? {} : { jwtTtl: entry.jwt_svid_ttl }),
    ...(entry.dns_names.length === 0 ? {} : { dnsNames: entry.dns_names }),
    ...(entry.federates_with.length === 0
      ? {}
      : { federatesWith: entry.federates_with.map((name) => name.replace(/^spiffe:\/\//, "")) }),
    ...(entry.hint === "" ? {} : { hint: entry.hint }),
    ...(entry.admin ? { admin: true } : {}),
    ...(entry.expires_at === 0
      ? {}
      : { expiresAt: new Date(entry.expires_at * 1000).toISOString() }),
  };
  return made;
}

/** What the linter has against an entry, without an issuer at hand: its limit of lifetimes is its own. */
export function lintFileEntry(
  entry: FileEntry,
  how: { readonly allowed: ReadonlySet<string>; readonly now: number },
): string | undefined {
  try {
    const spiffeId = parseSpiffeId(entry.spiffeId);
    const spec = entrySpec(
      {
        spiffeId,
        nodes: entry.nodes === "all" ? { kind: "all" } : { kind: "labels", labels: {} },
        selectors: entry.selectors.map(parseSelector),
        x509TtlSeconds: 0,
        dnsNames: entry.dnsNames ?? [],
        hint: entry.hint ?? "",
        priority: 0,
        admin: entry.admin ?? false,
        federatesWith: (entry.federatesWith ?? []).map(parseTrustDomain),
        expiresAt: entry.expiresAt === undefined ? 0 : Date.parse(entry.expiresAt),
      },
      { x509: 1, jwt: 1 },
    );
    const context = { trustDomain: trustDomainOf(spiffeId), maxTtlSeconds: 1, now: how.now };
    const [first] = refusals(lintEntry(spec, context), how.allowed);
    return first === undefined ? undefined : findingText(first);
  } catch (thrown) {
    if (thrown instanceof HeraldError) return thrown.message;
    throw thrown;
  }
}

/** `PARENT=label:name=value,name=value`, `PARENT=node:ID,ID`, `PARENT=all`; `*` stands for every parent that is not named. */
export function parseParent(text: string): readonly [parent: string, nodes: FileNodes] | undefined {
  const [, parent = "", kind = "", rest = ""] =
    /^(\*|spiffe:\/\/[^=]+)=(?:(all)|(?:label|node):.+)$/.exec(text) === null
      ? []
      : (/^([^=]+)=(all|label|node):?(.*)$/.exec(text) ?? []);
  if (kind === "all" && rest === "") return [parent, "all"];
  if (kind === "node" && rest !== "") return [parent, { ids: rest.split(",") }];
  if (kind !== "label") return undefined;
  const pairs = rest.split(",").map((pair) => /^([^=]+)=(.*)$/.exec(pair));
  if (pairs.some((pair) => pair === null)) return undefined;
  return [
    parent,
    { labels: Object.fromEntries(pairs.map((pair) => [pair?.[1] ?? "", pair?.[2] ?? ""])) },
  ];
}

function entriesOf(path: string, text: string): readonly SpireEntry[] {
  const invalid = (what: string): CliError =>
    new CliError("USAGE", `${path}: ${what}`, {
      cure: "bring what `spire-server entry show -output json` prints",
    });
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch (cause) {
    throw invalid(`is not JSON (${String(cause)})`);
  }
  const file = spireFile.safeParse(content);
  if (!file.success) throw invalid("holds no list `entries`");
  if (file.data.next_page_token !== "") throw invalid("is one page of several");
  return file.data.entries.map((item, at) => {
    const entry = spireEntry.safeParse(item);
    if (entry.success) return entry.data;
    const [issue] = entry.error.issues;
    throw invalid(`entry ${at + 1}: ${issue?.path.join(".") ?? ""}: ${issue?.message ?? ""}`);
  });
}

function idText({ trust_domain: domain, path }: z.output<typeof id>): string {
  return `spiffe://${domain}${path}`;
}
