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
  | "ENTRY_INVALID"
  | "ENTRY_EXISTS"
  | "ENTRY_NOT_FOUND"
  | "LABEL_INVALID"
  | "NODE_NAME_INVALID"
  | "NODE_NAME_TAKEN"
  | "AUTHORITY_MISSING"
  | "AUTHORITY_UNKNOWN"
  | "AUTHORITY_STATUS"
  | "ROTATION_RUNNING"
  | "ROTATION_NONE"
  | "ROTATION_TOO_FAR"
  | "ROTATION_NODE"
  | "ROTATION_ORDER";

/** An order or request that the issuer does not carry out. */
export class IssuerError extends HeraldError<IssuerErrorCode> {}
