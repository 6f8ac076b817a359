import { createHash } from "node:crypto";
import { printCompactJson } from "../core/envelope/compact-json.ts";
import { groupIndexKey, groupPageKey, manifestKey } from "../core/envelope/object-keys.ts";
import type { NodeRecordState } from "../core/envelope/payloads.ts";
import {
  compareEntries,
  type Entry,
  type NodeSelection,
  type NodeTraits,
} from "../core/policy/entry.ts";
import type { Selector } from "../core/spiffe/selector.ts";
import {
  isReserved,
  pathOf,
  type SpiffeId,
  type TrustDomain,
  trustDomainOf,
} from "../core/spiffe/spiffe-id.ts";
import type { Clock } from "../kit/clock.ts";
import type { Random } from "../kit/random.ts";
import type { Change, Page } from "./change.ts";
import { IssuerError } from "./error.ts";
import { newId } from "./identifiers.ts";
import type { SignedState } from "./signed-state.ts";

/** Entries per page, and in the index itself: what a change costs every node to read does not grow with the number of entries (ND-11). */
const entriesPerPage = 32;

/** With these an entry stays below 32 KiB, and a page of them below what one message carries. */
const mostSelectors = 16;
const mostDnsNames = 16;

/** @throws IssuerError LABEL_INVALID */
export function refuseLabels(labels: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(labels)) {
    if (/^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}$/.test(name) && value.length <= 256) continue;
    throw new IssuerError(
      "LABEL_INVALID",
      `label ${JSON.stringify(name.slice(0, 80))}: names have 1 to 63 of letters, digits, . _ / -, values at most 256 characters`,
      { field: `labels[${JSON.stringify(name.slice(0, 80))}]` },
    );
  }
  if (Object.keys(labels).length > 16)
    throw new IssuerError("LABEL_INVALID", "there are more than 16 labels", { field: "labels" });
}

/** The command line's word for a member of an entry, as the admin API has it. */
function fieldOf(word: string): string {
  const members: Readonly<Record<string, string>> = {
    "spiffe-id": "spiffe_id",
    selector: "selectors",
    "x509-ttl": "x509_ttl_seconds",
    "dns-name": "dns_names",
  };
  return members[word] ?? word;
}

/** What an operator gives to make an entry. */
export interface NewEntry {
  readonly spiffeId: SpiffeId;
  readonly nodes: NodeSelection;
  readonly selectors: readonly Selector[];
  /** 0: the default. */
  readonly x509TtlSeconds: number;
  readonly dnsNames: readonly string[];
  readonly hint: string;
  readonly priority: number;
}

export interface EntriesOptions {
  readonly trustDomain: TrustDomain;
  readonly state: SignedState;
  readonly clock: Clock;
  readonly random: Random;
  readonly defaultTtlSeconds: number;
  readonly maxTtlSeconds: number;
}

/** The entries, and the signed views of them that nodes read: the group index for entries that select many nodes, a manifest for each node that is named. */
export class Entries {
  readonly #options: EntriesOptions;

  constructor(options: EntriesOptions) {
    this.#options = options;
  }

  list(): readonly Entry[] {
    return this.#options.state
      .list("entry")
      .flatMap((object) => (object.entry === null ? [] : [object.entry]))
      .toSorted(compareEntries);
  }

  find(id: string): Entry | undefined {
    return this.#options.state.get("entry", entryKey(id))?.entry ?? undefined;
  }

  /** @throws IssuerError ENTRY_INVALID, ENTRY_EXISTS */
  async create(wanted: NewEntry): Promise<Entry> {
    this.#refuseInvalid(wanted);
    const id = newId(this.#options.random);
    await this.#write(wanted.nodes, () => {
      const same = this.list().find((entry) => sameRule(entry, wanted));
      if (same !== undefined) {
        throw new IssuerError(
          "ENTRY_EXISTS",
          `entry ${same.id} already gives ${same.spiffeId} to the same selectors on the same nodes`,
        );
      }
      const { spiffeId, nodes, selectors, dnsNames, hint, priority } = wanted;
      const x509TtlSeconds =
        wanted.x509TtlSeconds === 0 ? this.#options.defaultTtlSeconds : wanted.x509TtlSeconds;
      return {
        id,
        build: (revision) => ({
          id,
          revision,
          spiffeId,
          nodes,
          selectors,
          x509TtlSeconds,
          dnsNames,
          hint,
          priority,
          createdAt: this.#options.clock.now(),
        }),
      };
    });
    return this.#mustFind(id);
  }

  /** @throws IssuerError ENTRY_NOT_FOUND */
  async delete(id: string): Promise<Entry> {
    const entry = this.#mustFind(id);
    await this.#write(entry.nodes, () => {
      this.#mustFind(id);
      return { id, build: () => null };
    });
    return entry;
  }

  /** Signs all views anew: at the start of a term. */
  async refreshViews(): Promise<void> {
    const records = this.#options.state.list("node-record");
    await this.#options.state.change(() => [
      groupIndexChange(() => this.#shared()),
      ...records.map((record) => this.manifestChange(record)),
    ]);
  }

  /** The pages that the group index names now. */
  pages(): readonly Page[] {
    return pagesOf(this.#shared());
  }

  /** The manifest of one node as a change; also used when the node enrols. */
  manifestChange(
    record: Pick<NodeRecordState, "node" | "labels" | "banned">,
    entries: () => readonly Entry[] = () => this.list(),
  ): Change {
    const { node, labels, banned } = record;
    return {
      kind: "manifest",
      key: manifestKey(node),
      content: (stamp) => ({
        ...stamp,
        node,
        labels,
        banned,
        entries: entries().filter(
          (entry) => entry.nodes.kind === "ids" && entry.nodes.ids.includes(node),
        ),
      }),
    };
  }

  /**
   * Writes one entry and the views that show it as one change. A crash in between is repaired at the next start, which signs every view anew.
   */
  async #write(
    nodes: NodeSelection,
    decide: () => { readonly id: string; readonly build: (revision: bigint) => Entry | null },
  ): Promise<void> {
    const { state } = this.#options;
    let after: readonly Entry[] = [];
    await state.change(() => {
      const { id, build } = decide();
      const others = this.list().filter((entry) => entry.id !== id);
      const entry: Change = {
        kind: "entry",
        key: entryKey(id),
        content(stamp) {
          const built = build(stamp.version.seq);
          after = built === null ? others : [...others, built].toSorted(compareEntries);
          return { ...stamp, entry: built };
        },
      };
      return [entry, ...this.#viewChanges(nodes, () => after)];
    });
  }

  #viewChanges(nodes: NodeSelection, entries: () => readonly Entry[]): readonly Change[] {
    if (nodes.kind !== "ids") return [groupIndexChange(() => entries().filter(isShared))];
    const records = this.#options.state
      .list("node-record")
      .filter((record) => nodes.ids.includes(record.node));
    return records.map((record) => this.manifestChange(record, entries));
  }

  #shared(): readonly Entry[] {
    return this.list().filter(isShared);
  }

  #refuseInvalid(wanted: NewEntry): void {
    const { trustDomain, maxTtlSeconds } = this.#options;
    const refuse = (field: string, why: string): never => {
      throw new IssuerError("ENTRY_INVALID", `${field}: ${why}`, { field: fieldOf(field) });
    };
    if (trustDomainOf(wanted.spiffeId) !== trustDomain)
      refuse("spiffe-id", `${wanted.spiffeId} is not in this trust domain (${trustDomain})`);
    if (pathOf(wanted.spiffeId) === "")
      refuse("spiffe-id", "a workload's ID has a path, such as /web");
    if (isReserved(wanted.spiffeId))
      refuse("spiffe-id", "paths below /herald/ are reserved for Herald's own nodes and issuers");
    refuseTooMany(wanted);
    if (wanted.nodes.kind === "labels") refuseLabels(wanted.nodes.labels);
    if (wanted.selectors.length === 0)
      refuse(
        "selector",
        "give at least one, such as unix:uid:1000; an entry without selectors would fit nobody",
      );
    if (wanted.x509TtlSeconds < 0 || wanted.x509TtlSeconds > maxTtlSeconds) {
      refuse(
        "x509-ttl",
        `${wanted.x509TtlSeconds} s is not between 1 and this issuer's limit of ${maxTtlSeconds} s`,
      );
    }
    for (const name of wanted.dnsNames)
      if (!isDnsName(name)) refuse("dns-name", `${JSON.stringify(name)} is not a DNS name`);
    if (Buffer.byteLength(wanted.hint) > 1024)
      refuse("hint", "is longer than 1024 bytes (WAPI-16)");
  }

  #mustFind(id: string): Entry {
    const entry = this.find(id);
    if (entry === undefined)
      throw new IssuerError(
        "ENTRY_NOT_FOUND",
        `there is no entry ${id}; \`herald entry list\` shows them`,
      );
    return entry;
  }
}

function refuseTooMany({ selectors, dnsNames }: NewEntry): void {
  const refuse = (field: string, given: number, most: number): never => {
    throw new IssuerError("ENTRY_INVALID", `${field}: ${given} are given, ${most} at most fit`);
  };
  if (selectors.length > mostSelectors) refuse("selector", selectors.length, mostSelectors);
  if (dnsNames.length > mostDnsNames) refuse("dns-name", dnsNames.length, mostDnsNames);
}

/** Does the entry hold on this node? The issuer decides by its own record of the node, never by what the node says of itself. */
export function traitsOf(record: Pick<NodeRecordState, "node" | "labels">): NodeTraits {
  return { id: record.node, labels: record.labels };
}

function entryKey(id: string): string {
  return `entry.${id}`;
}

function isShared(entry: Entry): boolean {
  return entry.nodes.kind !== "ids";
}

function groupIndexChange(shared: () => readonly Entry[]): Change {
  return {
    kind: "group-index",
    key: groupIndexKey,
    content: (stamp) => ({ ...stamp, ...groupIndex(shared()) }),
  };
}

/** Few entries lie in the index itself; more are paged, so that one signed object switches them over. */
function groupIndex(shared: readonly Entry[]): {
  entries: readonly Entry[];
  pages: readonly { key: string; sha256: string }[];
} {
  if (shared.length <= entriesPerPage) return { entries: shared, pages: [] };
  return { entries: [], pages: pagesOf(shared).map(({ key, sha256 }) => ({ key, sha256 })) };
}

function pagesOf(
  shared: readonly Entry[],
): readonly { readonly key: string; readonly sha256: string; readonly bytes: Buffer }[] {
  if (shared.length <= entriesPerPage) return [];
  const pages: { key: string; sha256: string; bytes: Buffer }[] = [];
  for (let start = 0; start < shared.length; start += entriesPerPage) {
    const bytes = printCompactJson(shared.slice(start, start + entriesPerPage));
    const hash = createHash("sha256").update(bytes).digest();
    pages.push({ key: groupPageKey(hash), sha256: hash.toString("hex"), bytes });
  }
  return pages;
}

function sameRule(entry: Entry, wanted: NewEntry): boolean {
  return (
    entry.spiffeId === wanted.spiffeId &&
    JSON.stringify(entry.nodes) === JSON.stringify(wanted.nodes) &&
    JSON.stringify(entry.selectors.toSorted()) === JSON.stringify(wanted.selectors.toSorted())
  );
}

/** RFC 1035, section 2.3.1, with a leading wildcard label allowed (RFC 6125). */
function isDnsName(name: string): boolean {
  return (
    name.length <= 253 &&
    /^(?:\*\.)?(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/.test(
      name,
    )
  );
}
