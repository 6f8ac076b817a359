import { HeraldError } from "../../kit/errors.ts";

/** Every way in which signed bytes can fail to be what they claim. */
export type EnvelopeErrorCode =
  | "ENVELOPE_MALFORMED"
  | "ENVELOPE_KIND"
  | "ENVELOPE_SIGNER"
  | "ENVELOPE_SIGNATURE"
  | "ENVELOPE_CERTIFICATE"
  | "ENVELOPE_TRUST_DOMAIN"
  | "PAYLOAD_NOT_COMPACT"
  | "PAYLOAD_SHAPE"
  | "JOIN_STRING"
  | "SEALED_SECRET";

/** Signed bytes that are not what they claim; nothing was acted upon. */
export class EnvelopeError extends HeraldError<EnvelopeErrorCode> {}
