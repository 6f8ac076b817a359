import { HeraldError } from "../../kit/errors.ts";

/** Everything that can be wrong with a bundle document as a whole; a single bad entry is passed over instead (BDL-08). */
export type BundleErrorCode =
  | "BUNDLE_TOO_LARGE"
  | "BUNDLE_JSON"
  | "BUNDLE_DUPLICATE_MEMBER"
  | "BUNDLE_SHAPE"
  | "BUNDLE_KEYS_MISSING"
  | "BUNDLE_SEQUENCE"
  | "BUNDLE_REFRESH_HINT"
  | "BUNDLE_DUPLICATE_KEY_ID"
  | "BUNDLE_DUPLICATE_AUTHORITY"
  | "BUNDLE_AUTHORITY";

/** Thrown by every function of this folder; compare {@link BundleErrorCode}, never the text. */
export class BundleError extends HeraldError<BundleErrorCode> {}
