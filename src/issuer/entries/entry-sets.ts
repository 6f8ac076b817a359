import { entryPageKey, entrySetKey } from "../../core/envelope/object-keys.ts";
import type { EntryPageState } from "../../core/envelope/payloads.ts";
import type { Version } from "../../core/envelope/version.ts";
import type { Entry } from "../../core/policy/entry.ts";
import type { Change } from "../state/change.ts";

/** Pages have this many entries on average, and what a change costs everybody to read does not grow with the number of entries (ND-11). */
const usualEntries = 32;
const leastEntries = 8;
/** An entry has at most 32 KiB, a message of the broker 1 MiB. */
const mostBytes = 128 * 1024;

/**
 * Cuts entries into pages behind entries that their own ids choose, so that one entry more or less changes the page it is on and no other.
 * In the order of their ids. `sizeOf` tells the bytes of an entry.
 */
export function cutPages(
  entries: readonly Entry[],
  sizeOf: (entry: Entry) => number,
): readonly (readonly Entry[])[] {
  const pages: Entry[][] = [];
  let page: Entry[] = [];
  let bytes = 0;
  for (const entry of entries.toSorted((a, b) => (a.id < b.id ? -1 : 1))) {
    page.push(entry);
    bytes += sizeOf(entry);
    const isCut = page.length >= leastEntries && isBoundary(entry.id);
    if (!isCut && bytes < mostBytes) continue;
    pages.push(page);
    [page, bytes] = [[], 0];
  }
  return page.length === 0 ? pages : [...pages, page];
}

/** FNV-1a: spreads evenly, and nobody gains by choosing ids that collide, for issuers make them up. */
function isBoundary(id: string): boolean {
  let hash = 0x811c9dc5;
  for (let at = 0; at < id.length; at += 1)
    hash = Math.imul(hash ^ id.charCodeAt(at), 0x01000193) >>> 0;
  return hash % (usualEntries - leastEntries) === 0;
}

/**
 * Makes a set consist of `entries`. What changes is written as pages beside those in force, never over one of them; the set, written last, names the
 * pages by their versions. So a crash at any write leaves the old set whole, or the new one.
 */
export function setChanges(
  set: string,
  held: readonly EntryPageState[],
  entries: readonly Entry[],
): readonly Change[] {
  const kept = new Map(held.map((page) => [contentOf(page.entries), page]));
  const taken = new Set(held.map((page) => page.key));
  const versions: Version[] = [];
  const named: { readonly key: string; readonly version: () => Version }[] = [];
  const pages: Change[] = [];
  let place = 0;
  for (const content of cutPages(entries, sizeOf)) {
    const same = kept.get(contentOf(content));
    if (same !== undefined) {
      named.push({ key: same.key, version: () => same.version });
      continue;
    }
    while (taken.has(entryPageKey(set, place))) place += 1;
    const key = entryPageKey(set, place);
    taken.add(key);
    const at = pages.length;
    named.push({ key, version: () => versions[at] ?? unsigned() });
    pages.push({
      kind: "entry-page",
      key,
      content(stamp) {
        versions[at] = stamp.version;
        return { ...stamp, set, entries: content };
      },
    });
  }
  const pointer: Change = {
    kind: "entry-set",
    key: entrySetKey(set),
    content: (stamp) => ({
      ...stamp,
      set,
      pages: named.map(({ key, version }) => ({ key, version: version() })),
    }),
  };
  return [...pages, pointer];
}

/** Ids and revisions say it all: a revision has one content. */
function contentOf(entries: readonly Entry[]): string {
  return entries.map((entry) => `${entry.id} ${entry.revision}`).join("\n");
}

/** Near enough to keep a page below the limit. */
function sizeOf(entry: Entry): number {
  return 512 + entry.hint.length + entry.selectors.join("").length + entry.dnsNames.join("").length;
}

function unsigned(): never {
  throw new RangeError("a set is signed before one of its pages");
}
