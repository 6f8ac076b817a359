import { HeraldError } from "../kit/errors.ts";

/** Why the issuer refuses. The admin API and the replies to nodes map these codes once, at the edge. */
export type IssuerErrorCode =
  | "FENCED"
  | "STATE_CORRUPT"
  | "JOURNAL_BROKEN"
  | "OBJECT_TOO_LARGE"
  | "STORE_PENDING"
  | "AUDIT_UNAVAILABLE"
  | "AUDIT_BEHIND"
  | "ANSWER_GONE"
  | "AUDIT_CONTRADICTED"
  | "AUDIT_NOT_FOUND"
  | "WITNESS_AWAY"
  | "ENTRY_INVALID"
  | "ENTRY_EXISTS"
  | "ENTRY_NOT_FOUND"
  /** It was changed since the operator looked at it. */
  | "ENTRY_CONFLICT"
  | "FIELD_INVALID"
  | "LABEL_INVALID"
  | "NODE_NAME_INVALID"
  | "NODE_NAME_TAKEN"
  | "NODE_NOT_FOUND"
  | "ATTESTOR_OFF"
  | "AUTHORITY_MISSING"
  | "AUTHORITY_UNKNOWN"
  | "AUTHORITY_STATUS"
  | "ROTATION_RUNNING"
  | "ROTATION_NONE"
  | "ROTATION_TOO_FAR"
  | "ROTATION_NODE"
  | "ROTATION_ORDER"
  // The store of authorities' keys: cannot be used as configured; holds a key that is not as Herald makes them; does not answer now.
  | "KEY_STORE"
  | "KEY_UNUSABLE"
  | "KEY_STORE_AWAY"
  // Where authorities are certified: files that cannot be used; a chain that nobody would accept; it says no; it does not answer now.
  | "UPSTREAM_FILES"
  | "UPSTREAM_CHAIN"
  | "UPSTREAM_REFUSED"
  | "UPSTREAM_AWAY"
  | "SVID_UNKNOWN"
  | "REVOCATION_INVALID"
  | "REVOCATIONS_FULL"
  | "CRL_UNSIGNED"
  | "MINT_INVALID";

/** An order or request that the issuer does not carry out. */
export class IssuerError extends HeraldError<IssuerErrorCode> {
  /** The member of the request that is at fault, as the admin API names it: `spiffe_id`, `selectors[2]`, `labels["zone"]`. */
  readonly field: string | undefined;

  constructor(
    code: IssuerErrorCode,
    message: string,
    options: ErrorOptions & { readonly field?: string } = {},
  ) {
    super(code, message, options);
    this.field = options.field;
  }
}

/** Reads a member of a request: what its parser refuses is told with the member's name. @throws IssuerError FIELD_INVALID */
export function inField<T>(field: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (!(cause instanceof HeraldError) || cause instanceof IssuerError) throw cause;
    throw new IssuerError("FIELD_INVALID", `${field}: ${cause.message}`, { field, cause });
  }
}
