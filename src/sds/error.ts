import { HeraldError } from "../kit/errors.ts";

/** Every stable code of this room; adapters/status.ts gives each its gRPC status. */
export type SdsErrorCode =
  /** The kernel could not tell who calls, or the attestor failed (SPIRE-09). */
  | "CALLER_UNKNOWN"
  /** The process that opened the connection has ended; whoever holds the socket now is somebody else. */
  | "CALLER_GONE"
  /** The request breaks the protocol: type URL, undecodable bytes, too many or too long names (XDS-04, XDS-11, SOTW-14). */
  | "REQUEST_INVALID"
  /** A name that this caller has nothing under, where the answer cannot wait (FETCH-01, SPIRE-07). */
  | "NAME_UNKNOWN"
  /** Several trust domains asked for by an Envoy that cannot tell them apart (SPIRE-05). */
  | "VALIDATOR_NEEDED"
  /** The node has not read its state yet, so "nothing" cannot be told. */
  | "NOT_SYNCED"
  /** Something of ours broke; the log has it, the client does not. */
  | "FAULT"
  /** The daemon stops; Envoy keeps its secrets and dials again (XDS-14). */
  | "STOPPING";

/** What this room fails with. */
export class SdsError extends HeraldError<SdsErrorCode> {}
