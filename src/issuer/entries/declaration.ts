import {
  type Entry,
  type EntrySpec,
  givenId,
  type NewEntry,
  ruleOf,
} from "../../core/policy/entry.ts";
import { diffEntries, findTwins, type Step } from "../../core/policy/entry-diff.ts";
import { type Finding, findingText, refusals } from "../../core/policy/finding.ts";
import { IssuerError } from "../error.ts";

/** How a set of entries shall be: what `herald entry apply` brings. */
export interface Declaration {
  /** Two teams with a set each leave each other's entries alone. */
  readonly set: string;
  readonly wanted: readonly NewEntry[];
  /** Entries of the set that are not declared go. */
  readonly prune: boolean;
  /** Rules of the linter that are overridden, for all of them. */
  readonly allowed: ReadonlySet<string>;
}

/** What a declaration changes. */
export interface Applied {
  readonly steps: readonly Step<Entry>[];
  /** What the linter says of each declared entry, in their order. */
  readonly findings: readonly (readonly Finding[])[];
}

/** A declaration looked at, and what there is. */
interface Situation {
  readonly specs: readonly EntrySpec[];
  readonly held: readonly Entry[];
  readonly findings: readonly (readonly Finding[])[];
  readonly byRule: ReadonlyMap<string, Entry>;
  readonly allowed: ReadonlySet<string>;
}

/** @throws IssuerError ENTRY_INVALID, ENTRY_EXISTS: nothing of the declaration can be had then */
export function planDeclaration({ set }: Declaration, situation: Situation): Applied {
  const { specs, held, findings } = situation;
  if (!/^[a-z0-9][a-z0-9._-]{0,62}$/.test(set)) {
    throw new IssuerError(
      "ENTRY_INVALID",
      `set: ${JSON.stringify(set.slice(0, 80))} is no name; use 1 to 63 of a-z, 0-9 and . _ -`,
    );
  }
  refuseFindings(situation);
  refuseTwins(specs);
  for (const spec of specs) {
    const other = situation.byRule.get(ruleOf(spec));
    if (other !== undefined && other.set !== set) throw belongsTo(other);
  }
  return { steps: diffEntries(held, specs), findings };
}

function refuseFindings({ specs, findings, allowed }: Situation): void {
  const refused = findings.flatMap((found, at) => {
    const [first] = refusals(found, allowed);
    return first === undefined ? [] : [`${nameOf(specs[at], at)}: ${findingText(first)}`];
  });
  if (refused.length === 0) return;
  const more = refused.length === 1 ? "" : `${refused.length} entries are refused, the first is `;
  throw new IssuerError("ENTRY_INVALID", `${more}${refused[0]}`);
}

function refuseTwins(specs: readonly EntrySpec[]): void {
  const twins = findTwins(specs);
  if (twins === undefined) return;
  const [first, second] = [twins.first, twins.second].map((at) => nameOf(specs[at], at));
  throw new IssuerError(
    "ENTRY_INVALID",
    `${second} is ${first} once more: same name, or same identity, nodes and selectors; leave one out`,
  );
}

function nameOf(spec: EntrySpec | undefined, at: number): string {
  const text = spec === undefined ? "" : spec.name === "" ? givenId(spec) : spec.name;
  return `entry ${at + 1} (${text})`;
}

function belongsTo(other: Entry): IssuerError {
  const owner = other.set === "" ? "stands by itself" : `belongs to the set ${other.set}`;
  return new IssuerError(
    "ENTRY_EXISTS",
    `entry ${other.id} already gives ${givenId(other)} to the same selectors on the same nodes, and ${owner}; delete it there first`,
  );
}
