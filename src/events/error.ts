import { HeraldError } from "../kit/errors.ts";

/**
 * What can go wrong between Herald and its broker.
 * - BUS_UNREACHABLE: no connection, or it broke while waiting; a write may have happened
 * - BUS_PIN_MISMATCH: the broker's key is none of the pinned ones; nothing was sent
 * - BUS_REFUSED: the broker does not know our nkey
 * - BUS_FORBIDDEN: the broker's permissions do not allow this subject
 * - BUS_CONFLICT: somebody else wrote first
 * - BUS_TIMEOUT: no answer in time; a write may have happened
 * - BUS_NO_ISSUER: no issuer listens
 * - BUS_NO_STORE: JetStream, or the stream asked for, does not answer
 * - BUS_FULL: a stream is at its limit and takes no more
 * - BUS_MISCONFIGURED: settings that cannot work
 * - BUS_GAP: messages that were asked for are no longer kept
 * - BUS_NO_OBJECT: an object that another one names is not in the store, or not the one named
 * - BUS_BAD_KEY: not an object key, token or event type
 * - BUS_TOO_LARGE: more bytes than an object or message may have
 * - BUS_CLOSED: used after close()
 */
export type EventsErrorCode =
  | "BUS_UNREACHABLE"
  | "BUS_PIN_MISMATCH"
  | "BUS_REFUSED"
  | "BUS_FORBIDDEN"
  | "BUS_CONFLICT"
  | "BUS_TIMEOUT"
  | "BUS_NO_ISSUER"
  | "BUS_NO_STORE"
  | "BUS_FULL"
  | "BUS_MISCONFIGURED"
  | "BUS_GAP"
  | "BUS_NO_OBJECT"
  | "BUS_BAD_KEY"
  | "BUS_TOO_LARGE"
  | "BUS_CLOSED";

/** Every error of this room; compare `code`, never the text. */
export class EventsError extends HeraldError<EventsErrorCode> {}
