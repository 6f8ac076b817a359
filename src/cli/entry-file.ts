import { parse, stringify } from "yaml";
import { z } from "zod";
import { parseDuration } from "../daemon/config-fields.ts";
import { reasonOf } from "../kit/errors.ts";
import type { EntrySpec } from "../wire/herald/v1/entries.ts";
import { CliError } from "./cli-error.ts";

/** Files of entries: a list, or a list under `entries`, in YAML or JSON (docs/entries.md). */

const seconds = z.union([z.number(), z.string()]).transform((given, context) => {
  const ms = typeof given === "number" ? given * 1000 : parseDuration(given);
  if (ms !== undefined && ms >= 1000 && ms % 1000 === 0) return ms / 1000;
  context.addIssue({ code: "custom", message: "write whole seconds, or 90s, 10m, 24h" });
  return z.NEVER;
});

const moment = z.string().transform((text, context) => {
  const at = Date.parse(text);
  if (/^\d{4}-\d\d-\d\dT.+(?:Z|[+-]\d\d:\d\d)$/.test(text) && !Number.isNaN(at)) return at;
  context.addIssue({ code: "custom", message: "write a time such as 2027-01-31T12:00:00Z" });
  return z.NEVER;
});

const nodes = z.union(
  [
    z.literal("all"),
    z.strictObject({ ids: z.array(z.string()).min(1) }),
    z.strictObject({ labels: z.record(z.string(), z.string()) }),
  ],
  { error: 'write all, { ids: [...] } or { labels: { name: value } }; quote values such as "1"' },
);

const fileEntry = z.strictObject({
  name: z.string().default(""),
  spiffeId: z.string(),
  nodes: nodes.default("all"),
  selectors: z.array(z.string()).min(1),
  x509Ttl: seconds.optional(),
  jwtTtl: seconds.optional(),
  dnsNames: z.array(z.string()).default([]),
  federatesWith: z.array(z.string()).default([]),
  hint: z.string().default(""),
  admin: z.boolean().default(false),
  priority: z.number().int().default(0),
  allowedPeers: z.array(z.string()).default([]),
  expiresAt: moment.optional(),
  keepWarm: z.boolean().default(true),
});

/** An entry as a file has it; what is left out has its default. */
export interface FileEntry {
  readonly name?: string;
  readonly spiffeId: string;
  readonly nodes?: FileNodes;
  readonly selectors: readonly string[];
  /** Seconds, or a duration. */
  readonly x509Ttl?: number | string;
  readonly jwtTtl?: number | string;
  readonly dnsNames?: readonly string[];
  readonly federatesWith?: readonly string[];
  readonly hint?: string;
  readonly admin?: boolean;
  readonly priority?: number;
  readonly allowedPeers?: readonly string[];
  /** ISO 8601 with a zone. */
  readonly expiresAt?: string;
  readonly keepWarm?: boolean;
}

/** On which nodes an entry of a file holds. */
export type FileNodes =
  | "all"
  | { readonly ids: readonly string[] }
  | { readonly labels: Readonly<Record<string, string>> };

/** @throws {CliError} USAGE, naming the entry and the field */
export function parseEntryFile(path: string, text: string): readonly EntrySpec[] {
  const list = entriesIn(path, contentOf(path, text));
  return list.map((item, at) => {
    const read = fileEntry.safeParse(item);
    if (read.success) return specOf(read.data);
    const [issue] = read.error.issues;
    const field = issue?.path.join(".") ?? "";
    const told = field === "" ? "" : `${field}: `;
    throw invalid(path, `entry ${at + 1} (${nameOf(item)}): ${told}${issue?.message ?? "is none"}`);
  });
}

/** A file that {@link parseEntryFile} reads. */
export function printEntryFile(entries: readonly FileEntry[]): string {
  return stringify(entries, { lineWidth: 0 });
}

/** What a file's entry is on the wire. @throws z.ZodError */
export function specOfFile(entry: FileEntry): EntrySpec {
  return specOf(fileEntry.parse(entry));
}

function specOf(entry: z.output<typeof fileEntry>): EntrySpec {
  const { x509Ttl = 0, jwtTtl = 0, expiresAt = 0, keepWarm, nodes: wanted, ...rest } = entry;
  const ids = wanted !== "all" && "ids" in wanted ? wanted.ids : [];
  const labels = wanted !== "all" && "labels" in wanted ? wanted.labels : {};
  return {
    ...rest,
    nodes: { ids, labels: new Map(Object.entries(labels)) },
    x509TtlSeconds: x509Ttl,
    jwtTtlSeconds: jwtTtl,
    expiresAt: BigInt(expiresAt),
    onDemand: !keepWarm,
  };
}

/** JSON is YAML too, and its own parser is the faster by far. */
function contentOf(path: string, text: string): unknown {
  try {
    return /^\s*[[{]/.test(text) ? (JSON.parse(text) as unknown) : (parse(text) as unknown);
  } catch (thrown) {
    throw invalid(path, `is neither YAML nor JSON (${reasonOf(thrown)})`);
  }
}

function entriesIn(path: string, content: unknown): readonly unknown[] {
  // An empty file declares that there are none.
  if (content === null || content === undefined) return [];
  const wrapped = z.strictObject({ entries: z.unknown() }).safeParse(content);
  const list = wrapped.success ? wrapped.data.entries : content;
  if (Array.isArray(list)) return list as readonly unknown[];
  throw invalid(path, "holds no list of entries");
}

function nameOf(item: unknown): string {
  const read = z.looseObject({ name: z.string().optional(), spiffeId: z.string().optional() });
  const { data } = read.safeParse(item);
  return data?.name ?? data?.spiffeId ?? "without a name";
}

function invalid(path: string, what: string): CliError {
  return new CliError("USAGE", `${path}: ${what}`, {
    cure: "see docs/entries.md for what a file of entries holds",
  });
}
