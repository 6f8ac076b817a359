import { HeraldError } from "../../kit/errors.ts";

/** Everything that can be wrong with a trust domain name, a SPIFFE ID or a selector. */
export type SpiffeIdErrorCode =
  | "ID_EMPTY"
  | "ID_TOO_LONG"
  | "ID_SCHEME"
  | "ID_TRUST_DOMAIN_MISSING"
  | "ID_TRUST_DOMAIN_TOO_LONG"
  | "ID_TRUST_DOMAIN_CHARACTER"
  | "ID_PATH_CHARACTER"
  | "ID_PATH_EMPTY_SEGMENT"
  | "ID_PATH_DOT_SEGMENT"
  | "ID_PATH_TRAILING_SLASH"
  | "ID_PATH_NO_LEADING_SLASH"
  | "ID_SELECTOR_EMPTY"
  | "ID_SELECTOR_TOO_LONG"
  | "ID_SELECTOR_TYPE"
  | "ID_SELECTOR_VALUE"
  | "ID_SELECTOR_CHARACTER";

/** Thrown by every parser of this folder; compare {@link SpiffeIdErrorCode}, never the text. */
export class SpiffeIdError extends HeraldError<SpiffeIdErrorCode> {}
