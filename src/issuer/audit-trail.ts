import { token26 } from "../core/envelope/object-keys.ts";
import { AuditChain, type AuditChainOptions } from "./audit/audit-chain.ts";
import { AuditWitnesses } from "./audit/audit-witnesses.ts";
import type { IssuerOptions } from "./options.ts";

/** The audit chain, and who outside keeps checkpoints of it: nothing reaches the stream past a witness that is required. */
export function auditTrail(
  options: IssuerOptions,
  onRecord: AuditChainOptions["onRecord"],
): { readonly audit: AuditChain; readonly witnesses: AuditWitnesses } {
  const { witnesses: settings = { everyMs: 0, witnesses: [] } } = options;
  const witnesses = new AuditWitnesses({ ...options, ...settings, newest: () => audit.newest });
  const audit = new AuditChain({
    ...options,
    name: token26(options.issuer),
    stream: witnesses.guarding(options.auditStream),
    onRecord,
  });
  return { audit, witnesses };
}
