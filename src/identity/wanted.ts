import { token26 } from "../core/envelope/object-keys.ts";
import type { Purpose, SignItem } from "../core/envelope/payloads.ts";
import { type Entry, isExpired, type NodeTraits } from "../core/policy/entry.ts";
import { grantOf } from "../core/policy/grant.ts";
import { type Selector, selectorsMatch } from "../core/spiffe/selector.ts";
import type { WorkloadView } from "../core/svid/workload-view.ts";
import { createCsr } from "../core/x509/csr.ts";
import type { KeyPair } from "../core/x509/key-pair.ts";
import { HeraldError } from "../kit/errors.ts";
import type { Log } from "../kit/log.ts";
import type { WorkloadState } from "./workload-state.ts";

/** Whoever holds a stream or asks: who it is, and its process. */
interface Asker {
  readonly selectors: ReadonlySet<Selector>;
  /** 0 when unknown. */
  readonly pid: number;
}

/** Somebody who is told of each change of what it is given. */
export interface Watcher extends Asker {
  readonly onChange: (view: WorkloadView) => void;
  view: WorkloadView;
}

/** Does the entry fit whoever asks? */
export function isFor(entry: Entry, asker: Asker): boolean {
  return selectorsMatch(entry.selectors, asker.selectors);
}

/**
 * One SVID that this node should hold. Most entries give one; a template gives one for each identity that somebody is here for, each under a
 * name of its own: as the planner, the cache and the backoff see it, an entry with that name for id.
 */
interface Wanted {
  readonly entry: Entry;
  /** The id that the issuer knows. */
  readonly of: string;
  readonly purpose: Purpose;
}

/** What a node should hold, and which callers get nothing of an entry that fits them, and why. */
interface Wants {
  /** By their names. */
  readonly wanted: ReadonlyMap<string, Wanted>;
  readonly unresolved: readonly { readonly entry: string; readonly reason: string }[];
}

/** Everything kept warm, and what the callers of this moment need beside it. */
function wants(
  entries: readonly Entry[],
  askers: readonly Asker[],
  at: { readonly node: NodeTraits; readonly now: number },
): Wants {
  const wanted = new Map<string, Wanted>();
  const unresolved: { entry: string; reason: string }[] = [];
  for (const entry of entries) {
    if (isExpired(entry, at.now)) continue;
    if (entry.keepWarm && entry.template === "") {
      wanted.set(entry.id, { entry, of: entry.id, purpose: { kind: "kept-warm" } });
      continue;
    }
    for (const asker of askers) {
      if (!isFor(entry, asker)) continue;
      const found = forAsker(entry, asker, at);
      if (typeof found === "string") unresolved.push({ entry: entry.id, reason: found });
      else if (!wanted.has(found.entry.id)) wanted.set(found.entry.id, found);
    }
  }
  return { wanted, unresolved };
}

/** What this node should hold as of the newest state and callers; found once for each change of them. */
export class WantedSvids {
  readonly #log: Log;
  #wanted: ReadonlyMap<string, Wanted> | undefined;

  constructor(log: Log) {
    this.#log = log;
  }

  /** Entries or callers have changed, or an entry's end has come. */
  forget(): void {
    this.#wanted = undefined;
  }

  /** By name. */
  of(
    { entries, node }: WorkloadState,
    askers: Iterable<Asker>,
    now: number,
  ): ReadonlyMap<string, Wanted> {
    if (this.#wanted !== undefined) return this.#wanted;
    // Callers with the same selectors need the same.
    const kinds = new Map([...askers].map((asker) => [[...asker.selectors].join("\n"), asker]));
    const { wanted, unresolved } = wants(entries, [...kinds.values()], { node, now });
    for (const why of unresolved)
      this.#log.debug(why, "an entry fits a caller and gives it nothing");
    this.#wanted = wanted;
    return wanted;
  }
}

/** One CSR as it is asked for. */
export async function signItem(
  entry: Entry,
  pair: KeyPair | undefined,
  wanted: Wanted | undefined,
): Promise<SignItem> {
  const { of = entry.id, purpose = { kind: "kept-warm" } } = wanted ?? {};
  const csr = pair === undefined ? "" : Buffer.from(await createCsr(pair)).toString("base64");
  return { entry: of, revision: entry.revision, purpose, csr };
}

/** Under which name the SVID lies that an entry, which fits them, gives to these selectors; undefined when it gives none. */
export function nameFor(
  entry: Entry,
  selectors: ReadonlySet<Selector>,
  at: { readonly node: NodeTraits; readonly now: number },
): string | undefined {
  if (isExpired(entry, at.now)) return undefined;
  if (entry.template === "") return entry.id;
  const found = forAsker(entry, { selectors, pid: 0 }, at);
  return typeof found === "string" ? undefined : found.entry.id;
}

/** The id of the entry that an SVID of this name belongs to. */
export function entryOfName(name: string): string {
  return name.split(separator, 1)[0] ?? name;
}

/** Of SVIDs that nobody is here for, those that nobody will be given again: their entry is gone or another, or their end has come. */
export function leftOver(
  names: readonly string[],
  held: ReadonlyMap<string, { readonly revision: bigint; readonly notAfter: number }>,
  at: { readonly entries: readonly Entry[]; readonly now: number },
): readonly string[] {
  const live = new Map(at.entries.map((entry) => [entry.id, entry]));
  return names.filter((name) => {
    const [entry, one] = [live.get(entryOfName(name)), held.get(name)];
    if (entry === undefined || one === undefined || isExpired(entry, at.now)) return true;
    return one.revision !== entry.revision || one.notAfter <= at.now;
  });
}

/** Issuers make no ids with it. */
const separator = "--";

function forAsker(
  entry: Entry,
  asker: Asker,
  { node, now }: { readonly node: NodeTraits; readonly now: number },
): Wanted | string {
  const selectors = [...asker.selectors];
  const purpose = { kind: "caller", selectors, pid: asker.pid } as const;
  if (entry.template === "") return { entry, of: entry.id, purpose };
  try {
    const { id: spiffeId } = grantOf(entry, { node, selectors, now });
    const id = `${entry.id}${separator}${token26(spiffeId)}`;
    return { entry: { ...entry, id, spiffeId }, of: entry.id, purpose };
  } catch (thrown) {
    if (thrown instanceof HeraldError) return thrown.message;
    throw thrown;
  }
}
