import type { NodeRecordState } from "../../core/envelope/payloads.ts";
import { type Version, zeroVersion } from "../../core/envelope/version.ts";
import {
  compareEntries,
  type Entry,
  type EntrySpec,
  entrySpec,
  givenId,
  type NewEntry,
  type NodeTraits,
  ruleOf,
} from "../../core/policy/entry.ts";
import { differences } from "../../core/policy/entry-diff.ts";
import { type Finding, findingText, refusals } from "../../core/policy/finding.ts";
import { lintEntry } from "../../core/policy/lint.ts";
import type { SpiffeId, TrustDomain } from "../../core/spiffe/spiffe-id.ts";
import type { Clock } from "../../kit/clock.ts";
import type { Random } from "../../kit/random.ts";
import { IssuerError } from "../error.ts";
import { newId } from "../identifiers.ts";
import type { Change, Page } from "../state/change.ts";
import type { SignedState } from "../state/signed-state.ts";
import { type Applied, type Declaration, planDeclaration } from "./declaration.ts";
import { type EntryIndex, EntryReader } from "./entry-index.ts";
import { setChanges } from "./entry-sets.ts";
import {
  EntryViews,
  entriesByNode,
  isShared,
  type ManifestOf,
  manifestChange,
} from "./entry-views.ts";

/** JWT-SVIDs are bearer tokens: five minutes unless the entry says otherwise. */
const defaultJwtTtlSeconds = 300;

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
    node: "nodes",
    selector: "selectors",
    "x509-ttl": "x509_ttl_seconds",
    "jwt-ttl": "jwt_ttl_seconds",
    "dns-name": "dns_names",
    "allowed-peer": "allowed_peers",
  };
  return members[word] ?? word.replaceAll("-", "_");
}

export interface EntriesOptions {
  readonly trustDomain: TrustDomain;
  readonly state: SignedState;
  readonly clock: Clock;
  readonly random: Random;
  readonly defaultTtlSeconds: number;
  readonly maxTtlSeconds: number;
}

/** Rules of the linter that the operator overrides. */
export type Allowed = ReadonlySet<string>;

const nothing: Allowed = new Set();

/** An entry that becomes another, comes or goes. */
interface Move {
  readonly from: Entry | undefined;
  readonly to: Entry | undefined;
}

/** The entries, and the signed views of them that nodes read. */
export class Entries {
  readonly #options: EntriesOptions;
  readonly #reader: EntryReader;
  readonly #views = new EntryViews();

  constructor(options: EntriesOptions) {
    this.#options = options;
    this.#reader = new EntryReader(options.state);
  }

  list(): readonly Entry[] {
    return this.#reader.current.sorted;
  }

  find(id: string): Entry | undefined {
    return this.#reader.current.byId.get(id);
  }

  /** Entries that name this very identity; no templates. */
  naming(id: SpiffeId): readonly Entry[] {
    return this.#reader.current.byIdentity.get(id) ?? [];
  }

  /** What the linter says of an entry, doubts included. */
  review(wanted: NewEntry): readonly Finding[] {
    return this.#lint(this.#spec(wanted));
  }

  /** @throws IssuerError ENTRY_INVALID, LABEL_INVALID, ENTRY_EXISTS */
  async create(wanted: NewEntry, allowed: Allowed = nothing): Promise<Entry> {
    const spec = this.#accepted(wanted, allowed);
    const id = newId(this.#options.random);
    await this.#write((_index, revision) => {
      this.#refuseTwin(spec, undefined);
      const createdAt = this.#options.clock.now();
      return [{ from: undefined, to: { ...spec, id, revision, set: "", createdAt } }];
    });
    return this.mustFind(id);
  }

  /** Replaces all that an entry says, if it is still at that revision. @throws IssuerError ENTRY_CONFLICT, ENTRY_NOT_FOUND and as {@link create} */
  async update(
    target: { readonly id: string; readonly revision: bigint },
    wanted: NewEntry,
    allowed: Allowed = nothing,
  ): Promise<Entry> {
    const spec = this.#accepted(wanted, allowed);
    const { id } = target;
    await this.#write((_index, revision) => {
      const held = this.mustFind(id);
      if (held.revision !== target.revision) throw conflict(held, target.revision);
      if (differences(held, spec).length === 0) return [];
      this.#refuseTwin(spec, id);
      const { set, createdAt } = held;
      return [{ from: held, to: { ...spec, id, revision, set, createdAt } }];
    });
    return this.mustFind(id);
  }

  /** @throws IssuerError ENTRY_NOT_FOUND; with a revision ENTRY_CONFLICT */
  async delete(id: string, revision?: bigint): Promise<Entry> {
    let gone = this.mustFind(id);
    await this.#write(() => {
      gone = this.mustFind(id);
      if (revision !== undefined && gone.revision !== revision) throw conflict(gone, revision);
      return [{ from: gone, to: undefined }];
    });
    return gone;
  }

  /** What {@link apply} would do now. @throws IssuerError ENTRY_INVALID, LABEL_INVALID, ENTRY_EXISTS */
  plan(declaration: Declaration): Applied {
    const { wanted, allowed, set } = declaration;
    const specs = wanted.map((one) => this.#spec(one));
    const findings = specs.map((spec) => this.#lint(spec));
    const held = this.list().filter((entry) => entry.set === set);
    const { byRule } = this.#reader;
    return planDeclaration(declaration, { specs, held, findings, byRule, allowed });
  }

  /** Makes a set as it is declared: all of it at once, or not at all. @throws IssuerError as {@link plan} */
  async apply(declaration: Declaration): Promise<Applied> {
    let applied: Applied = { steps: [], findings: [] };
    const createdAt = this.#options.clock.now();
    await this.#write((_index, revision) => {
      applied = this.plan(declaration);
      const { set } = declaration;
      return applied.steps.flatMap((step): readonly Move[] => {
        switch (step.kind) {
          case "create": {
            const id = newId(this.#options.random);
            return [{ from: undefined, to: { ...step.wanted, id, revision, set, createdAt } }];
          }
          case "update": {
            const { held } = step;
            const to = { ...step.wanted, id: held.id, revision, set, createdAt: held.createdAt };
            return [{ from: held, to }];
          }
          case "undeclared":
            return declaration.prune ? [{ from: step.held, to: undefined }] : [];
          case "unchanged":
            return [];
        }
      });
    });
    return applied;
  }

  /** Signs all views anew: at the start of a term. */
  async refreshViews(): Promise<void> {
    const { state } = this.#options;
    await state.change(() => this.#viewChanges(this.list(), state.list("node-record"), true));
  }

  /** The pages that the group index names now. */
  pages(): readonly Page[] {
    return this.#views.pagesOf(this.list());
  }

  /** The manifest of one node as a change; used when the node enrols. */
  manifestChange(record: ManifestOf): Change {
    const entries = () =>
      this.list().filter(({ nodes }) => nodes.kind === "ids" && nodes.ids.includes(record.node));
    return manifestChange(record, entries);
  }

  /** @throws IssuerError ENTRY_NOT_FOUND */
  mustFind(id: string): Entry {
    const entry = this.find(id);
    if (entry !== undefined) return entry;
    throw new IssuerError(
      "ENTRY_NOT_FOUND",
      `there is no entry ${id}; \`herald entry list\` shows them`,
    );
  }

  /**
   * Writes entries and the views that show them as one change. A crash in between is repaired at the next start, which signs every view anew.
   */
  async #write(decide: (index: EntryIndex, revision: bigint) => readonly Move[]): Promise<void> {
    const { state } = this.#options;
    await state.change(() => {
      const index = this.#reader.current;
      const moves = decide(index, state.nextSeq);
      if (moves.length === 0) return [];
      const gone = new Set(moves.map(({ from }) => from?.id));
      const come = moves.flatMap(({ to }) => (to === undefined ? [] : [to]));
      const after = [...index.sorted.filter(({ id }) => !gone.has(id)), ...come].toSorted(
        compareEntries,
      );
      return [...objectChanges(index, moves, after), ...this.#movedViews(moves, after)];
    });
  }

  /** The views in which something moves. With one node concerned and nobody else its manifest is the switch; else the group index is. */
  #movedViews(moves: readonly Move[], after: readonly Entry[]): readonly Change[] {
    const both = moves.flatMap(({ from, to }) => [from, to].filter((one) => one !== undefined));
    const named = new Set(both.flatMap(({ nodes }) => (nodes.kind === "ids" ? nodes.ids : [])));
    const records = this.#options.state.list("node-record").filter(({ node }) => named.has(node));
    const isAlone = moves.length === 1 && !both.some(isShared);
    return this.#viewChanges(after, records, !isAlone);
  }

  #viewChanges(
    entries: readonly Entry[],
    records: readonly NodeRecordState[],
    hasIndex: boolean,
  ): readonly Change[] {
    let version: Version = zeroVersion;
    const byNode = entriesByNode(entries);
    const before = entriesByNode(this.list());
    const manifests = records.map((record) => {
      const staged = { goesWith: () => version, before: before.get(record.node) ?? [] };
      const own = () => byNode.get(record.node) ?? [];
      return manifestChange(record, own, hasIndex ? staged : undefined);
    });
    if (!hasIndex) return manifests;
    const onVersion = (signed: Version): void => void (version = signed);
    return [this.#views.groupIndex(entries, onVersion), ...manifests];
  }

  #spec(wanted: NewEntry): EntrySpec {
    const { defaultTtlSeconds: x509, maxTtlSeconds } = this.#options;
    return entrySpec(wanted, { x509, jwt: Math.min(defaultJwtTtlSeconds, maxTtlSeconds) });
  }

  #lint(spec: EntrySpec): readonly Finding[] {
    const { trustDomain, maxTtlSeconds, clock } = this.#options;
    return lintEntry(spec, { trustDomain, maxTtlSeconds, now: clock.now() });
  }

  #accepted(wanted: NewEntry, allowed: Allowed): EntrySpec {
    const spec = this.#spec(wanted);
    if (spec.nodes.kind === "labels") refuseLabels(spec.nodes.labels);
    const [first] = refusals(this.#lint(spec), allowed);
    if (first !== undefined)
      throw new IssuerError("ENTRY_INVALID", findingText(first), { field: fieldOf(first.field) });
    return spec;
  }

  #refuseTwin(spec: EntrySpec, except: string | undefined): void {
    const same = this.#reader.byRule.get(ruleOf(spec));
    if (same === undefined || same.id === except) return;
    throw new IssuerError(
      "ENTRY_EXISTS",
      `entry ${same.id} already gives ${givenId(same)} to the same selectors on the same nodes`,
    );
  }
}

/** Does the entry hold on this node? The issuer decides by its own record of the node, never by what the node says of itself. */
export function traitsOf(record: Pick<NodeRecordState, "node" | "labels">): NodeTraits {
  return { id: record.node, labels: record.labels };
}

/** Entries that stand alone are objects of their own, those of a set lie on its pages. */
function objectChanges(
  index: EntryIndex,
  moves: readonly Move[],
  after: readonly Entry[],
): readonly Change[] {
  const ofSet = ({ from, to }: Move): string => (to ?? from)?.set ?? "";
  const sets = new Set(moves.map(ofSet).filter((set) => set !== ""));
  const singles = moves
    .filter((move) => ofSet(move) === "")
    .map(({ from, to }): Change => {
      const key = `entry.${(to ?? from)?.id}`;
      return { kind: "entry", key, content: (stamp) => ({ ...stamp, entry: to ?? null }) };
    });
  const paged = [...sets].flatMap((set) =>
    setChanges(
      set,
      index.sets.get(set) ?? [],
      after.filter((entry) => entry.set === set),
    ),
  );
  return [...singles, ...paged];
}

function conflict(held: Entry, told: bigint): IssuerError {
  return new IssuerError(
    "ENTRY_CONFLICT",
    `entry ${held.id} is at revision ${held.revision}, not ${told}: somebody changed it; look at it with \`herald entry show ${held.id}\` and say --revision ${held.revision}`,
  );
}
