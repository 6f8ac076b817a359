import { createHash } from "node:crypto";
import { printCompactJson } from "../../core/envelope/compact-json.ts";
import { groupIndexKey, groupPageKey, manifestKey } from "../../core/envelope/object-keys.ts";
import type { ManifestState, NodeRecordState } from "../../core/envelope/payloads.ts";
import { type Version, zeroVersion } from "../../core/envelope/version.ts";
import type { Entry } from "../../core/policy/entry.ts";
import type { Change, Page } from "../state/change.ts";
import { cutPages } from "./entry-sets.ts";

/** Few entries lie in the index itself; more are paged. */
const mostInIndex = 32;

/** What of a node its manifest says. */
export type ManifestOf = Pick<NodeRecordState, "node" | "labels" | "banned">;

/** A page, and how the index names it. */
type NamedPage = Page & { readonly sha256: string };

/** Makes the signed views of entries that nodes read: the group index for those that select many nodes, a manifest for each node that is named. */
export class EntryViews {
  /** Entries are values: what one looks like in JSON stays. */
  readonly #texts = new WeakMap<Entry, string>();
  #pages: { readonly of: readonly Entry[]; readonly pages: readonly NamedPage[] } | undefined;

  /** The pages that the group index names for these entries, which may hold others too; none when they fit into the index. */
  pagesOf(entries: readonly Entry[]): readonly NamedPage[] {
    if (this.#pages?.of === entries) return this.#pages.pages;
    const shared = entries.filter(isShared);
    const pages =
      shared.length <= mostInIndex
        ? []
        : cutPages(shared, (entry) => this.#textOf(entry).length).map((page) => this.#page(page));
    this.#pages = { of: entries, pages };
    return pages;
  }

  /** `onVersion` hears which version the index got. */
  groupIndex(entries: readonly Entry[], onVersion: (version: Version) => void): Change {
    return {
      kind: "group-index",
      key: groupIndexKey,
      content: (stamp) => {
        onVersion(stamp.version);
        const pages = this.pagesOf(entries).map(({ key, sha256 }) => ({ key, sha256 }));
        return { ...stamp, entries: pages.length === 0 ? entries.filter(isShared) : [], pages };
      },
    };
  }

  #page(entries: readonly Entry[]): NamedPage {
    const bytes = Buffer.from(`[${entries.map((entry) => this.#textOf(entry)).join(",")}]`, "utf8");
    const hash = createHash("sha256").update(bytes).digest();
    return { key: groupPageKey(hash), sha256: hash.toString("hex"), bytes };
  }

  #textOf(entry: Entry): string {
    const known = this.#texts.get(entry);
    if (known !== undefined) return known;
    const text = printCompactJson(entry).toString("utf8");
    this.#texts.set(entry, text);
    return text;
  }
}

/** What goes over from one manifest to the next when the group index switches. */
export interface Staged {
  readonly goesWith: () => Version;
  readonly before: readonly Entry[];
}

/** The manifest of one node: in force at once, or with the group index that is written after it. */
export function manifestChange(
  record: ManifestOf,
  entries: () => readonly Entry[],
  staged?: Staged,
): Change {
  const { node, labels, banned } = record;
  return {
    kind: "manifest",
    key: manifestKey(node),
    content: (stamp): ManifestState => ({
      ...stamp,
      node,
      labels,
      banned,
      entries: entries(),
      goesWith: staged?.goesWith() ?? zeroVersion,
      before: staged?.before ?? [],
    }),
  };
}

/** The entries that name each node. */
export function entriesByNode(entries: readonly Entry[]): ReadonlyMap<string, readonly Entry[]> {
  const named = new Map<string, Entry[]>();
  for (const entry of entries) {
    if (entry.nodes.kind !== "ids") continue;
    for (const node of new Set(entry.nodes.ids)) {
      const list = named.get(node) ?? [];
      list.push(entry);
      named.set(node, list);
    }
  }
  return named;
}

/** Does it select nodes by what they have in common? */
export function isShared(entry: Entry): boolean {
  return entry.nodes.kind !== "ids";
}
