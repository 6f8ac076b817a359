/** Every rule of the linter, by the name that messages and `--allow` call it. */
export const lintRules = [
  "ENT-ID",
  "ENT-RESERVED",
  "ENT-TEMPLATE",
  "ENT-SIZE",
  "ENT-NO-SELECTOR",
  "ENT-CONTRADICTION",
  "TM-W-03",
  "ENT-BROAD",
  "ENT-ADMIN",
  "ENT-TTL",
  "ENT-EXPIRED",
  "ENT-DNS",
  "ENT-WILDCARD",
  "ENT-HINT",
  "ENT-FEDERATION",
  "ENT-PEER",
] as const;

type LintRule = (typeof lintRules)[number];

/** One thing that is wrong with an entry. */
export interface Finding {
  readonly rule: LintRule;
  /** `error` is refused; `overridable` unless the operator allows the rule, which the audit chain records; `warning` is told. */
  readonly level: "error" | "overridable" | "warning";
  /** As the command line calls it: `selector`, `spiffe-id`. */
  readonly field: string;
  readonly reason: string;
  readonly cure: string;
}

/** What stands in the way of an entry, when the operator allows these rules. */
export function refusals(
  findings: readonly Finding[],
  allowed: ReadonlySet<string>,
): readonly Finding[] {
  return findings.filter(
    ({ level, rule }) => level === "error" || (level === "overridable" && !allowed.has(rule)),
  );
}

/** `selector: why (TM-W-03); cure`, as Herald's messages are. */
export function findingText({ field, reason, rule, cure, level }: Finding): string {
  const override = level === "overridable" ? `, or --allow ${rule}` : "";
  return `${field}: ${reason} (${rule}); ${cure}${override}`;
}
