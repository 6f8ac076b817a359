import { createHash } from "node:crypto";
import { parseCompactJson } from "../core/envelope/compact-json.ts";
import { groupPageKey } from "../core/envelope/object-keys.ts";
import type { GroupIndexState } from "../core/envelope/payloads.ts";
import { groupPage } from "../core/envelope/state-shapes.ts";
import type { Entry } from "../core/policy/entry.ts";
import { reasonOf } from "../kit/errors.ts";
import type { Log } from "../kit/log.ts";
import type { NodeBus } from "./bus.ts";
import { EventsError } from "./error.ts";

/** A page of the group index as it came, and what it says. */
interface Page {
  readonly bytes: Uint8Array;
  readonly sha256: string;
  readonly entries: readonly Entry[];
}

/** Between two of these the node does whatever else waits: ten thousand entries keep no stream from its answer. */
const readsAtOnce = 8;

type PageName = GroupIndexState["pages"][number];

/** The pages of the group index that a node has: named and proven by their hashes, which the signed index holds. */
export class GroupPages {
  readonly #bus: Pick<NodeBus, "read">;
  readonly #log: Log;
  readonly #pages = new Map<string, Page>();

  constructor(options: { readonly bus: Pick<NodeBus, "read">; readonly log: Log }) {
    this.#bus = options.bus;
    this.#log = options.log;
  }

  get size(): number {
    return this.#pages.size;
  }

  /** Every page, as it is kept on disk. */
  bytes(): readonly Uint8Array[] {
    return [...this.#pages.values()].map((page) => page.bytes);
  }

  /** Takes over what the disk holds; a damaged page is read again. */
  resume(kept: readonly Uint8Array[]): void {
    for (const bytes of kept) {
      try {
        this.#take(bytes);
      } catch (thrown) {
        this.#log.warn(
          { reason: reasonOf(thrown) },
          "a page of the entries is damaged on disk; reading it again",
        );
      }
    }
  }

  /** The entries of all pages of an index, or undefined when one is not to be had now: the index then counts later, as a whole. */
  async entriesOf(index: GroupIndexState): Promise<readonly Entry[] | undefined> {
    const entries: Entry[] = [];
    for (let start = 0; start < index.pages.length; start += readsAtOnce) {
      const some = index.pages.slice(start, start + readsAtOnce);
      const pages = await Promise.all(some.map(async (name) => await this.#page(name)));
      for (const page of pages) {
        if (page === undefined) return undefined;
        entries.push(...page.entries);
      }
    }
    return entries;
  }

  async #page(name: PageName): Promise<Page | undefined> {
    const known = this.#pages.get(name.key);
    return known?.sha256 === name.sha256 ? known : await this.#read(name);
  }

  /** Lets go of all others. */
  keepOnly(index: GroupIndexState): void {
    const wanted = new Set(index.pages.map((page) => page.key));
    for (const key of this.#pages.keys()) if (!wanted.has(key)) this.#pages.delete(key);
  }

  async #read({ key, sha256 }: PageName): Promise<Page | undefined> {
    try {
      const bytes = await this.#bus.read(key);
      if (bytes === undefined)
        throw new EventsError("BUS_NO_OBJECT", `page ${key} is not in the store`);
      if (createHash("sha256").update(bytes).digest("hex") !== sha256)
        throw new EventsError("BUS_NO_OBJECT", `page ${key} is not the one that the index names`);
      return this.#take(bytes);
    } catch (thrown) {
      this.#log.warn(
        { key, reason: reasonOf(thrown) },
        "a page of the entries is not to be had yet; trying again",
      );
      return undefined;
    }
  }

  #take(bytes: Uint8Array): Page {
    const entries = groupPage.parse(parseCompactJson(bytes));
    const sha256 = createHash("sha256").update(bytes).digest();
    const page = { bytes, sha256: sha256.toString("hex"), entries };
    this.#pages.set(groupPageKey(sha256), page);
    return page;
  }
}

/** Pages are JSON lists, envelopes JSON objects. */
export function isPage(bytes: Uint8Array): boolean {
  return bytes[0] === 0x5b;
}
