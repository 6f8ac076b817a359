import type { AuditRecord, Operator } from "../../core/envelope/audit-payloads.ts";
import { type CrlReason, crlReasons } from "../../core/x509/crl-writer.ts";

/** Which SVIDs an operator means. */
export type SvidTarget =
  | {
      readonly kind: "serial";
      /** Lower-case hex. */
      readonly serial: string;
      /** For one that the ledger does not know: who signed it, and a time at which it has ended for certain (milliseconds). */
      readonly known?: { readonly authority: string; readonly notAfter: number };
    }
  | { readonly kind: "entry" | "node" | "id"; readonly name: string };

/** What an operator wants revoked. */
export interface RevokeOrder {
  readonly target: SvidTarget;
  readonly reason: CrlReason;
  readonly by: Operator | null;
}

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

/** What a ban does to the SVIDs that a node holds. */
export function banOf(node: string, by: Operator | null): RevokeOrder {
  return { target: { kind: "node", name: node }, reason: "privilegeWithdrawn", by };
}

function isReason(text: string): text is CrlReason {
  return Object.hasOwn(crlReasons, text);
}
