import { HeraldError } from "../../kit/errors.ts";

/**
 * Everything that verifying, checking or linting an X.509-SVID can refuse. LINT_ codes come before signing only:
 * they name a fault of the issuer, not of a peer.
 */
export type SvidErrorCode =
  | "SVID_CHAIN_LENGTH"
  | "SVID_MALFORMED"
  | "SVID_URI_COUNT"
  | "SVID_ID"
  | "SVID_NO_PATH"
  | "SVID_IS_AUTHORITY"
  | "SVID_KEY_USAGE"
  | "SVID_EXTENDED_KEY_USAGE"
  | "SVID_NOT_YET_VALID"
  | "SVID_EXPIRED"
  | "SVID_CRITICAL_EXTENSION"
  | "SVID_BUNDLE_MISSING"
  | "SVID_BUNDLE_EMPTY"
  | "SVID_BUNDLE_MALFORMED"
  | "SVID_UNTRUSTED"
  | "SVID_SIGNATURE"
  | "SVID_AUTHORITY_DATES"
  | "SVID_AUTHORITY_PROFILE"
  | "SVID_AUTHORITY_ID"
  | "SVID_PATH_LENGTH"
  | "SVID_NAME_CONSTRAINT"
  | "SVID_KEY_MALFORMED"
  | "SVID_KEY_MISMATCH"
  | "SVID_MISLABELLED"
  | "SVID_ROOT_IN_CHAIN"
  /** A CRL that is none, or no authority's of the bundle. */
  | "SVID_CRL"
  /** An authority of the bundle without a CRL in force, while others have theirs. */
  | "SVID_CRL_GAP"
  | "LINT_MALFORMED"
  | "LINT_SERIAL"
  | "LINT_ALGORITHM"
  | "LINT_ISSUER"
  | "LINT_SUBJECT"
  | "LINT_DATES"
  | "LINT_KEY"
  | "LINT_ID"
  | "LINT_RESERVED"
  | "LINT_NAMES"
  | "LINT_NAME_CONSTRAINT"
  | "LINT_EXTENSIONS"
  | "LINT_PROFILE"
  | "LINT_KEY_IDS"
  | "LINT_AUTHORITY";

/** Thrown by every function of this folder; compare {@link SvidErrorCode}, never the text. */
export class SvidError extends HeraldError<SvidErrorCode> {}
