import { createHash } from "node:crypto";
import type { Operator } from "../core/envelope/audit-payloads.ts";

/** Text of an order for the audit chain: what does not fit is cut, and the SHA-256 of all of it says so, that nothing hides behind padding. */
export function orderText(text: string, most: number): string {
  if (text.length <= most) return text;
  const digest = createHash("sha256").update(text).digest("hex");
  return `${text.slice(0, most - 80)}… sha256:${digest}`;
}

/** Labels that are set, and names of those that are removed, as the command line writes them. */
export function labelsText(
  set: Iterable<readonly [name: string, value: string]>,
  remove: readonly string[] = [],
): string {
  const parts = [
    ...[...set].map(([name, value]) => `${name}=${value}`),
    ...remove.map((name) => `${name}-`),
  ];
  return orderText(parts.join(" "), 1024);
}

/** `node token --replace --label role=web`. */
export function tokenVerb(wanted: {
  readonly labels: Readonly<Record<string, string>>;
  readonly replaces: boolean;
}): string {
  const labels = labelsText(Object.entries(wanted.labels));
  const verb = wanted.replaces ? "node token --replace" : "node token";
  return labels === "" ? verb : `${verb} --label ${labels}`;
}

/** An operator as logs and records name one. */
export function operatorText(by: Operator): string {
  return by.kind === "unix" ? `uid ${by.uid}` : by.id;
}
