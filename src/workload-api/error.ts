import { HeraldError } from "../kit/errors.ts";

/** Every stable code of this room; adapters/status.ts gives each its gRPC status. */
export type WorkloadApiErrorCode =
  /** The metadata `workload.spiffe.io: true` is missing, wrong or doubled (WEP-05). Never for anything that passes (WEP-12). */
  | "HEADER_MISSING"
  /** The kernel could not tell who calls, or the attestor failed (WEP-13). */
  | "CALLER_UNKNOWN"
  /** The process that opened the connection has ended. */
  | "CALLER_GONE"
  /** The caller is known and entitled to nothing, or no longer (WEP-14, WAPI-17). */
  | "NO_IDENTITY"
  /** Something is on its way: the node's state, a bundle, a first or a fresh SVID (WEP-13). */
  | "NOT_READY"
  /** A profile that this endpoint does not serve (WEP-15, WAPI-02). */
  | "PROFILE_NOT_SERVED"
  /** More streams than one connection may hold (WAPI-26). */
  | "TOO_MANY_STREAMS"
  /** The daemon stops; clients come back. */
  | "STOPPING"
  /** Something of ours broke; the log has it, the client does not. */
  | "FAULT";

/** What this room fails with. */
export class WorkloadApiError extends HeraldError<WorkloadApiErrorCode> {}
