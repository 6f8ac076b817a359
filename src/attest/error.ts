import { HeraldError } from "../kit/errors.ts";

/** Why a caller could not be described. Stable; the text of an error is not. */
export type AttestErrorCode =
  /** The process that connected has ended; what was read may be of another one. */
  | "PEER_GONE"
  /** The process has become another user or group since it connected. */
  | "PEER_CHANGED"
  /** A source of facts failed. Passing, so never told as "no identity" (WEP-13). */
  | "SOURCE_FAILED";

/** What this room throws. */
export class AttestError extends HeraldError<AttestErrorCode> {}
