import { groupIndexKey, isGroupPageKey, isManifestKey } from "../../core/envelope/object-keys.ts";
import type { Metrics } from "../../kit/metrics.ts";
import { IssuerError } from "../error.ts";
import type { StateStore } from "../ports.ts";
import type { Page } from "./change.ts";

/** So many writes are under way at once: each is acknowledged when it is on the broker's disk. */
const writesAtOnce = 64;

/** What a page that nobody needs is overwritten with: its key goes on, for issuers delete nothing on the broker. */
const blankPage: Uint8Array = Buffer.from("[]", "utf8");

export interface StoreWritesOptions {
  readonly store: StateStore;
  readonly metrics: Metrics;
  /** What the group index names by content, as of now: stored before the index is. */
  readonly pages: () => readonly Page[];
  /** The newest envelope under a key. */
  readonly envelope: (key: string) => Uint8Array | undefined;
}

/** Writes signed objects where nodes read them, in the order in which nodes may see them, and knows what is not there yet. */
export class StoreWrites {
  readonly #options: StoreWritesOptions;
  /** Keys that are in the journal and not yet in the store. */
  readonly #pending = new Set<string>();
  /** Pages known to be in the store. */
  #storedPages = new Set<string>();
  /** Pages in the store that the index before this one did not name either: no node reads them any more. */
  #stalePages = new Set<string>();
  /** Pages that the index names no more since the last write. */
  #unnamed = new Set<string>();

  constructor(options: StoreWritesOptions) {
    this.#options = options;
  }

  /** Keys that are journalled but not yet where nodes read them. */
  get pending(): number {
    return this.#pending.size;
  }

  /** What the store holds was read: what was thought to be missing may have arrived, and pages may be gone. True when one is. */
  lacksPages(remote: ReadonlyMap<string, Uint8Array>): boolean {
    this.#pending.clear();
    const pages = this.#options.pages();
    const holds = ({ key, bytes }: Page): boolean =>
      Buffer.compare(remote.get(key) ?? blankPage, bytes) === 0;
    this.#storedPages = new Set(pages.filter(holds).map((page) => page.key));
    for (const [key, bytes] of remote) {
      const isPage = isGroupPageKey(key) && bytes.byteLength > blankPage.byteLength;
      if (isPage && !this.#storedPages.has(key)) this.#stalePages.add(key);
    }
    return this.#storedPages.size < pages.length;
  }

  /** @throws IssuerError STORE_PENDING */
  async write(keys: readonly string[]): Promise<void> {
    for (const key of keys) this.#pending.add(key);
    // The index after them: it is what switches nodes over, and what it names or goes with must lie there by then.
    const pages = keys.includes(groupIndexKey) ? this.#missingPages() : [];
    const results = await settled([
      ...pages.map((page) => this.#putPage(page)),
      ...keys.filter(isManifestKey).map((key) => this.#put(key)),
    ]);
    for (const { key } of pages) this.#stalePages.delete(key);
    const isReady = results.every(({ status }) => status === "fulfilled");
    const others = keys.filter((key) => !isManifestKey(key) && (key !== groupIndexKey || isReady));
    results.push(...(await settled(others.map((key) => this.#put(key)))));
    this.#options.metrics.set("herald_issuer_objects_pending", this.#pending.size);
    // Nobody waits for it.
    if (keys.includes(groupIndexKey) && isReady) void this.#blankStale();
    const failed = results.find((result) => result.status === "rejected");
    if (failed === undefined) return;
    throw new IssuerError(
      "STORE_PENDING",
      "recorded by the issuer; nodes will see it once the bus answers again (`herald doctor`)",
      { cause: failed.reason },
    );
  }

  #put(key: string): () => Promise<void> {
    return async () => {
      const bytes = this.#options.envelope(key);
      if (bytes !== undefined) await this.#options.store.put(key, bytes);
      this.#pending.delete(key);
    };
  }

  #putPage({ key, bytes }: Page): () => Promise<void> {
    return async () => {
      await this.#options.store.put(key, bytes);
      this.#storedPages.add(key);
    };
  }

  /** Takes their contents from pages that two indexes have not named: a node may still be reading those of the last one. */
  async #blankStale(): Promise<void> {
    const named = new Set(this.#options.pages().map((page) => page.key));
    const stale = [...this.#stalePages].filter((key) => !named.has(key));
    this.#stalePages = this.#unnamed;
    this.#unnamed = new Set();
    await settled(
      stale.map((key) => async () => {
        try {
          await this.#options.store.put(key, blankPage);
        } catch {
          // It only costs room; the next start tries again.
        }
      }),
    );
  }

  /** Only those that are not there yet: a change of one entry changes one page. */
  #missingPages(): readonly Page[] {
    const pages = this.#options.pages();
    const named = new Set(pages.map((page) => page.key));
    for (const key of this.#storedPages) {
      if (named.has(key)) continue;
      this.#storedPages.delete(key);
      this.#unnamed.add(key);
    }
    return pages.filter(({ key }) => !this.#storedPages.has(key));
  }
}

/** Runs all, a bounded number at once; one that fails keeps the others from nothing. */
async function settled(
  runs: readonly (() => Promise<void>)[],
): Promise<PromiseSettledResult<void>[]> {
  const results: PromiseSettledResult<void>[] = [];
  for (let start = 0; start < runs.length; start += writesAtOnce) {
    const some = runs.slice(start, start + writesAtOnce);
    results.push(...(await Promise.allSettled(some.map(async (run) => await run()))));
  }
  return results;
}
