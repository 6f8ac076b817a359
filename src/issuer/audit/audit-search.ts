import type { AuditAction, AuditRecord } from "../../core/envelope/audit-payloads.ts";
import { claimOf } from "../../core/envelope/envelope.ts";

/** Which records are looked for; an empty text asks for nothing. */
export interface AuditQuery {
  readonly node: string;
  /** A record's number, a certificate's serial, or a SHA-256. */
  readonly find: string;
}

/** How a text says what it finds: up to 18 digits are a record's number, 64 hex digits a SHA-256, any other hex a serial. */
export function queryKind(find: string): "number" | "sha256" | "serial" | undefined {
  if (/^\d{1,18}$/.test(find)) return "number";
  if (/^[0-9a-f]{64}$/.test(find)) return "sha256";
  return /^[0-9a-f]{2,40}$/.test(find) ? "serial" : undefined;
}

/** A quick look at a record that nobody has proven: false only where it cannot be meant. */
export function mayMatch(bytes: Uint8Array, { node, find }: AuditQuery): boolean {
  if (node === "" && find === "") return true;
  const text = textOf(bytes);
  if (text === undefined) return true;
  // A revocation names serials only, and they may be the node's.
  const isOfNode = text.includes(`"${node}"`) || text.includes('"kind":"svids-revoked"');
  if (node !== "" && !isOfNode) return false;
  switch (queryKind(find)) {
    case undefined:
      return find === "";
    case "number":
      return text.includes(`"n":"${find}"`);
    case "serial":
      return text.includes(`"${find}"`);
    case "sha256":
      return text.includes(`"${find}"`) || claimOf(bytes).digest === find;
  }
}

/** Is this proven record the one that is meant? */
export function isMeant(
  record: { readonly payload: AuditRecord; readonly digest: string },
  find: string,
): boolean {
  const { payload, digest } = record;
  const { action } = payload;
  const certificates = certificatesOf(action);
  switch (queryKind(find)) {
    case undefined:
      return false;
    case "number":
      return payload.n === BigInt(find);
    case "serial":
      return certificates.some(({ serial }) => serial === find);
    case "sha256":
      return digest === find || certificates.some(({ tbsSha256 }) => tbsSha256 === find);
  }
}

/** The certificates that a record is the record of. */
function certificatesOf(
  action: AuditAction,
): readonly { readonly serial: string; readonly tbsSha256: string }[] {
  switch (action.kind) {
    case "svids-issued":
      return action.svids;
    case "node-enrolled":
    case "node-renewed":
    case "svid-minted":
    case "issuer-certified":
      return [action];
    case "svids-refused":
    case "svids-revoked":
    case "request-refused":
    case "admin":
    case "authority":
      return [];
  }
}

function textOf(bytes: Uint8Array): string | undefined {
  try {
    const { payload } = JSON.parse(Buffer.from(bytes).toString("utf8")) as {
      readonly payload: string;
    };
    return Buffer.from(payload, "base64").toString("utf8");
  } catch {
    return undefined;
  }
}
