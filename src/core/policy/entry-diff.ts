import { type EntrySpec, ruleOf, selectionText } from "./entry.ts";

/** One line of a diff between a declared set and what is there. */
export type Step<Held extends EntrySpec> =
  | { readonly kind: "create"; readonly wanted: EntrySpec }
  | {
      readonly kind: "update";
      readonly wanted: EntrySpec;
      readonly held: Held;
      readonly fields: readonly string[];
    }
  | { readonly kind: "unchanged"; readonly held: Held }
  /** There and not declared: deleted when the set is pruned, else left. */
  | { readonly kind: "undeclared"; readonly held: Held };

/** The entries of a declaration that mean the same one, by their places in it. */
export interface Twins {
  readonly first: number;
  readonly second: number;
}

const fields = [
  "spiffeId",
  "template",
  "nodes",
  "selectors",
  "x509TtlSeconds",
  "jwtTtlSeconds",
  "dnsNames",
  "federatesWith",
  "hint",
  "admin",
  "priority",
  "allowedPeers",
  "expiresAt",
  "keepWarm",
  "name",
] as const satisfies readonly (keyof EntrySpec)[];

/** What it takes to make a set as it is declared. Entries are the same by name, else by identity, nodes and selectors. */
export function diffEntries<Held extends EntrySpec>(
  held: readonly Held[],
  wanted: readonly EntrySpec[],
): readonly Step<Held>[] {
  const left = new Set(held);
  const byName = new Map(held.map((entry) => [entry.name, entry]));
  const byRule = new Map(held.map((entry) => [ruleOf(entry), entry]));
  const isNamed = new Set(wanted.map(({ name }) => name));
  const heldAs = (spec: EntrySpec): Held | undefined => {
    if (spec.name !== "" && byName.has(spec.name)) return byName.get(spec.name);
    const same = byRule.get(ruleOf(spec));
    // One that another entry of the declaration names is that other one.
    return same !== undefined && same.name !== "" && isNamed.has(same.name) ? undefined : same;
  };
  const steps = wanted.map((spec): Step<Held> => {
    const found = heldAs(spec);
    if (found === undefined || !left.delete(found)) return { kind: "create", wanted: spec };
    const differing = differences(found, spec);
    return differing.length === 0
      ? { kind: "unchanged", held: found }
      : { kind: "update", wanted: spec, held: found, fields: differing };
  });
  return [...steps, ...[...left].map((entry) => ({ kind: "undeclared", held: entry }) as const)];
}

/** Two entries of one declaration with the same name, or that are the same rule; undefined when there are none. */
export function findTwins(wanted: readonly EntrySpec[]): Twins | undefined {
  const seen = new Map<string, number>();
  for (const [second, spec] of wanted.entries()) {
    const names = [ruleOf(spec), ...(spec.name === "" ? [] : [`name ${spec.name}`])];
    for (const name of names) {
      const first = seen.get(name);
      if (first !== undefined) return { first, second };
      seen.set(name, second);
    }
  }
  return undefined;
}

/** Which members of two entries differ; the order of lists that mean sets does not count. */
export function differences(a: EntrySpec, b: EntrySpec): readonly string[] {
  return fields.filter((field) => memberText(a, field) !== memberText(b, field));
}

function memberText(entry: EntrySpec, field: (typeof fields)[number]): string {
  const value: unknown = entry[field];
  if (Array.isArray(value)) return JSON.stringify(value.map(String).toSorted());
  return field === "nodes" ? selectionText(entry.nodes) : JSON.stringify(value);
}
