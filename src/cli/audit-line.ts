import type { AuditAction, AuditRecord, Operator } from "../core/envelope/audit-payloads.ts";
import type { Purpose } from "../core/envelope/payloads.ts";
import { isoSeconds } from "./moment.ts";

/** A record that was proven, with its digest. */
export interface ShownRecord {
  readonly payload: AuditRecord;
  readonly digest: string;
}

type Words = { readonly [K in AuditAction["kind"]]?: (action: ActionOf<K>) => string };
type ActionOf<K extends AuditAction["kind"]> = AuditAction & { readonly kind: K };

type Certified = Pick<ActionOf<"node-enrolled">, "node" | "serial" | "by">;

const certified = ({ node, serial, by }: Certified): string => `${node} gets ${serial} (${by})`;

/** A kind without words of its own is told as JSON. */
const words: Words = {
  "svids-issued": ({ node, svids }) =>
    `${node} gets ${svids.map(({ spiffeId, serial, purpose }) => `${spiffeId} ${serial} (${purposeText(purpose)})`).join(", ")}`,
  "svids-refused": ({ node, refused }) =>
    `${node} is refused ${refused.map(({ entry, code }) => `${entry}: ${code}`).join(", ")}`,
  "node-enrolled": certified,
  "node-renewed": certified,
  "request-refused": ({ since, refused, others }) =>
    [
      `since ${isoSeconds(since)}:`,
      ...refused.map(({ node, code, count }) => `${count} × ${code} to ${node || "strangers"},`),
      `${others} others`,
    ].join(" "),
  admin: ({ verb, subject, by }) => `${operatorText(by)} orders: ${verb} ${subject}`.trimEnd(),
  authority: ({ authority, status, by }) => `${authority} becomes ${status} (${by})`,
};

/** One line: number, time, kind, and what happened. */
export function recordLine({ payload }: ShownRecord): string {
  const { n, at, action } = payload;
  return `${printable(`${n}  ${isoSeconds(at)}  ${action.kind}  ${actionText(action)}`)}\n`;
}

/** What happened, in words. */
function actionText(action: AuditAction): string {
  const tell = words[action.kind] as ((action: AuditAction) => string) | undefined;
  return tell?.(action) ?? jsonText(action);
}

/** Who gave an order. */
function operatorText(by: Operator): string {
  return by.kind === "unix" ? `uid ${by.uid} (pid ${by.pid})` : `${by.id} (SVID ${by.serial})`;
}

/** For whom an SVID was asked. */
export function purposeText(purpose: Purpose): string {
  return purpose.kind === "caller"
    ? `pid ${purpose.pid}, ${purpose.selectors.join(" ")}`
    : "kept warm";
}

/** For `--json`: 64-bit integers are text, as in the record itself. */
export function recordJson({ payload, digest }: ShownRecord): unknown {
  return JSON.parse(jsonText({ digest, ...payload }));
}

/** JSON with 64-bit integers as text. */
export function jsonText(value: unknown): string {
  return JSON.stringify(value, (_name, member: unknown) =>
    typeof member === "bigint" ? String(member) : member,
  );
}

/** Records hold what nodes said: none of it may move the terminal. */
export function printable(text: string): string {
  return text.replaceAll(/\p{Cc}/gu, "?");
}
