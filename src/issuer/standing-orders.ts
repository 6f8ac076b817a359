import type { AuditRecord } from "../core/envelope/audit-payloads.ts";
import { type CrlReason, crlReasons } from "../core/x509/crl-writer.ts";
import type { RevokeOrder } from "./svids.ts";

/** An order to revoke more than one SVID, to be carried out on what turns up of the time before it. */
export interface StandingOrder extends RevokeOrder {
  /** What was issued earlier is meant (milliseconds since the epoch), and what was issued since, perhaps in its place, is not. */
  readonly before: number;
}

/** The order behind a record: a process that died while it read its history has left no more of it. Undefined for any other record. */
export function orderBehind({ action, at }: AuditRecord): StandingOrder | undefined {
  if (action.kind !== "svids-revoked" || !isReason(action.reason)) return undefined;
  const { subject, reason, by } = action;
  const end = subject.indexOf(" ");
  const [kind, name] = [subject.slice(0, Math.max(0, end)), subject.slice(end + 1)];
  if (kind !== "entry" && kind !== "node" && kind !== "id") return undefined;
  // What was issued within the same second was known, and is revoked already.
  return { target: { kind, name }, reason, by, before: Math.floor(at / 1000) * 1000 };
}

function isReason(text: string): text is CrlReason {
  return Object.hasOwn(crlReasons, text);
}
