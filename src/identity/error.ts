import { HeraldError } from "../kit/errors.ts";

/**
 * What can go wrong with a node's identities.
 * - NOT_ENROLLED: the node has no identity yet and no join string to get one
 * - REFUSED: the issuer answered, signed, that it will not
 * - NO_ANSWER: nobody answered in time
 * - BAD_REPLY: an answer that is not for this request, or says what it must not
 * - BUSY: the issuer answered, signed, to come again later, for longer than is waited for
 * - CALLER_UNKNOWN: nobody knows which process asks
 * - CACHE: the state folder does not hold what it should
 */
export type IdentityErrorCode =
  | "NOT_ENROLLED"
  | "REFUSED"
  | "NO_ANSWER"
  | "BAD_REPLY"
  | "BUSY"
  | "CALLER_UNKNOWN"
  | "CACHE";

export class IdentityError extends HeraldError<IdentityErrorCode> {}
