import type { AuditAction } from "../../core/envelope/audit-payloads.ts";
import { sha256Hex } from "../../core/envelope/pae.ts";
import type { SpiffeId } from "../../core/spiffe/spiffe-id.ts";
import { lintSvid } from "../../core/svid/lint.ts";
import type { Clock } from "../../kit/clock.ts";
import type { Random } from "../../kit/random.ts";
import type { AuditChain } from "../audit/audit-chain.ts";
import type { SigningAuthority } from "../authorities/authorities.ts";
import { backdateMs } from "../authorities/certification.ts";
import { newSerial } from "../identifiers.ts";

/**
 * Lint, record, sign: in this order, and the types leave no other. A {@link Linted} certificate is made by {@link lint} alone, a {@link Recorded} one by
 * {@link record} alone, and {@link sign} takes nothing else (invariant 8 of the design; boulder's ca.go is the model).
 */

declare const lintedBrand: unique symbol;
declare const recordedBrand: unique symbol;

/** What a certificate is to say. The public key is all that was taken from a CSR (MEC-01). */
export interface Wanted {
  readonly id: SpiffeId;
  readonly spki: Uint8Array;
  readonly dnsNames: readonly string[];
  readonly ttlSeconds: number;
  /** An entry asked for it; otherwise it is a node's. */
  readonly isForEntry: boolean;
}

/** To-be-signed bytes that a second reader found to say exactly what was wanted. */
export interface Linted {
  readonly [lintedBrand]: true;
  readonly id: SpiffeId;
  readonly serial: string;
  readonly tbs: Uint8Array;
  readonly tbsSha256: string;
  readonly notAfter: number;
  readonly authority: SigningAuthority;
}

/** A linted certificate that stands in the audit chain. */
export type Recorded = Linted & { readonly [recordedBrand]: true };

/** @throws SvidError when the bytes say anything else than `wanted`. */
export function lint(
  wanted: Wanted,
  authority: SigningAuthority,
  at: { readonly clock: Clock; readonly random: Random },
): Linted {
  const now = at.clock.now();
  const serial = newSerial(at.random);
  const notBefore = now - backdateMs;
  const notAfter = Math.min(now + wanted.ttlSeconds * 1000, authority.notAfter);
  const { id, spki, dnsNames, isForEntry } = wanted;
  const tbs = authority.template.toBeSigned({ serial, spki, id, dnsNames, notBefore, notAfter });
  lintSvid(tbs, {
    id,
    dnsNames,
    spki,
    serial,
    notBefore,
    notAfter,
    authority: authority.certificate,
    path: authority.path,
    now,
    isForEntry,
  });
  const linted = {
    id,
    serial: Buffer.from(serial).toString("hex"),
    tbs,
    tbsSha256: sha256Hex(tbs),
    notAfter,
    authority,
  };
  return linted as unknown as Linted;
}

/** One audit record for the whole batch. @throws IssuerError AUDIT_UNAVAILABLE, and then nothing may be signed. */
export async function record(
  chain: AuditChain,
  batch: readonly Linted[],
  action: (batch: readonly Linted[]) => AuditAction,
): Promise<readonly Recorded[]> {
  if (batch.length > 0) await chain.record(action(batch));
  return batch as readonly Recorded[];
}

/** Signs, and gives the chain as it is served: DER, leaf first, no root. */
export async function sign(recorded: Recorded): Promise<readonly Uint8Array[]> {
  const { template, signer, chain } = recorded.authority;
  return [template.assemble(recorded.tbs, await signer.sign(recorded.tbs)), ...chain];
}
