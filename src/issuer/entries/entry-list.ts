import { type Entry, givenId, selectsNode } from "../../core/policy/entry.ts";
import type { SpiffeId } from "../../core/spiffe/spiffe-id.ts";
import { IssuerError } from "../error.ts";

/** Which entries are asked for; empty members ask for nothing. */
export interface EntryFilter {
  readonly spiffeId: string;
  readonly selector: string;
  /** A node on which the entry holds, by whatever selection. */
  readonly node: SpiffeId | "";
  /** Labels of that node, as the issuer knows it. */
  readonly nodeLabels: Readonly<Record<string, string>>;
  /** What the entry selects nodes by; all of it. */
  readonly labels: Readonly<Record<string, string>>;
  readonly hint: string;
  readonly admin: boolean;
  readonly federatesWith: string;
  readonly set: string;
}

/** Some entries and where the next begin. */
export interface EntryListing {
  readonly entries: readonly Entry[];
  /** Empty at the end. */
  readonly next: string;
}

const mostInPage = 1000;

/**
 * A page of the entries that fit. The token names the last entry by what it is sorted by, so that a page begins where the one before ended,
 * whatever came and went meanwhile.
 * @throws IssuerError ENTRY_INVALID for a token that is none
 */
export function listEntries(
  sorted: readonly Entry[],
  filter: EntryFilter,
  page: { readonly limit: number; readonly token: string },
): EntryListing {
  const fitting = sorted.filter((entry) => fits(entry, filter));
  const start = page.token === "" ? 0 : startAfter(fitting, page.token);
  const limit = page.limit === 0 ? mostInPage : Math.min(page.limit, mostInPage);
  const entries = fitting.slice(start, start + limit);
  const last = entries.at(-1);
  const isEnd = last === undefined || start + entries.length >= fitting.length;
  return { entries, next: isEnd ? "" : tokenOf(last) };
}

function fits(entry: Entry, filter: EntryFilter): boolean {
  const { admin, selector, federatesWith } = filter;
  const texts = [
    [filter.spiffeId, givenId(entry)],
    [filter.hint, entry.hint],
    [filter.set, entry.set],
  ] as const;
  const isIn = (wanted: string, list: readonly string[]) => wanted === "" || list.includes(wanted);
  return (
    texts.every(([wanted, has]) => wanted === "" || wanted === has) &&
    isIn(selector, entry.selectors) &&
    isIn(federatesWith, entry.federatesWith) &&
    (!admin || entry.admin) &&
    fitsNodes(entry, filter)
  );
}

function fitsNodes({ nodes }: Entry, { node, nodeLabels, labels }: EntryFilter): boolean {
  if (node !== "" && !selectsNode(nodes, { id: node, labels: nodeLabels })) return false;
  return Object.entries(labels).every(
    ([name, value]) => nodes.kind === "labels" && nodes.labels[name] === value,
  );
}

type Place = Pick<Entry, "priority" | "createdAt" | "id">;

function tokenOf({ priority, createdAt, id }: Place): string {
  return Buffer.from(JSON.stringify([priority, createdAt, id])).toString("base64url");
}

function startAfter(entries: readonly Entry[], token: string): number {
  const place = placeOf(token);
  const at = entries.findIndex((entry) => isAfter(entry, place));
  return at === -1 ? entries.length : at;
}

/** As compareEntries sorts. */
function isAfter(entry: Place, place: Place): boolean {
  if (entry.priority !== place.priority) return entry.priority < place.priority;
  if (entry.createdAt !== place.createdAt) return entry.createdAt > place.createdAt;
  return entry.id > place.id;
}

function placeOf(token: string): Place {
  try {
    const read: unknown = JSON.parse(Buffer.from(token, "base64url").toString("utf8"));
    const [priority, createdAt, id] = Array.isArray(read) ? (read as readonly unknown[]) : [];
    if (typeof priority === "number" && typeof createdAt === "number" && typeof id === "string")
      return { priority, createdAt, id };
  } catch {
    // Told below, as any other token that is none.
  }
  throw new IssuerError(
    "ENTRY_INVALID",
    "page-token: is not one that a list gave; begin anew without it",
  );
}
