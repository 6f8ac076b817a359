import { entrySetKey } from "../../core/envelope/object-keys.ts";
import type { EntryPageState, EntrySetState } from "../../core/envelope/payloads.ts";
import { compareVersions, formatVersion } from "../../core/envelope/version.ts";
import { compareEntries, type Entry, ruleOf } from "../../core/policy/entry.ts";
import { IssuerError } from "../error.ts";
import type { SignedState } from "../state/signed-state.ts";

/** All entries as the signed state has them now. */
export interface EntryIndex {
  /** In the order in which callers see them. */
  readonly sorted: readonly Entry[];
  readonly byId: ReadonlyMap<string, Entry>;
  /** Those that name one identity and are no templates, by that identity. */
  readonly byIdentity: ReadonlyMap<string, readonly Entry[]>;
  /** The pages of each declared set, by its name. */
  readonly sets: ReadonlyMap<string, readonly EntryPageState[]>;
}

/** Reads the entries out of the signed state, once for each change of it: a sign-request looks one up, and there may be ten thousand. */
export class EntryReader {
  readonly #state: SignedState;
  #read: { readonly at: number; readonly index: EntryIndex } | undefined;
  #rules: { readonly of: EntryIndex; readonly byRule: ReadonlyMap<string, Entry> } | undefined;

  constructor(state: SignedState) {
    this.#state = state;
  }

  /** @throws IssuerError STATE_CORRUPT when a set lacks one of its pages. */
  get current(): EntryIndex {
    const at = this.#state.entryChanges;
    if (this.#read?.at !== at) this.#read = { at, index: readEntries(this.#state) };
    return this.#read.index;
  }

  /** Every entry by what it gives to whom. */
  get byRule(): ReadonlyMap<string, Entry> {
    const of = this.current;
    if (this.#rules?.of !== of) {
      const byRule = new Map(of.sorted.map((entry) => [ruleOf(entry), entry]));
      this.#rules = { of, byRule };
    }
    return this.#rules.byRule;
  }
}

function readEntries(state: SignedState): EntryIndex {
  const sets = new Map(
    state.list("entry-set").map((set) => [set.set, pagesOf(set, state)] as const),
  );
  const single = state.list("entry").flatMap(({ entry }) => (entry === null ? [] : [entry]));
  const declared = [...sets.values()].flatMap((pages) => pages.flatMap((page) => page.entries));
  const sorted = [...single, ...declared].toSorted(compareEntries);
  const byId = new Map(sorted.map((entry) => [entry.id, entry]));
  const fixed = sorted.filter(({ template }) => template === "");
  return { sorted, byId, byIdentity: Map.groupBy(fixed, ({ spiffeId }) => spiffeId), sets };
}

/** A page in another version than the set names is one that was written for a set which never came into force. */
function pagesOf(set: EntrySetState, state: SignedState): readonly EntryPageState[] {
  return set.pages.map(({ key, version }) => {
    const page = state.get("entry-page", key);
    if (page !== undefined && compareVersions(page.version, version) === 0) return page;
    throw new IssuerError(
      "STATE_CORRUPT",
      `the set of entries ${set.set} (${entrySetKey(set.set)}) names ${key} in version ${formatVersion(version)}, which is not there; restore the newest backup of the state folder`,
    );
  });
}
