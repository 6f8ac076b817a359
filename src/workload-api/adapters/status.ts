import { type ServerErrorResponse, status } from "@grpc/grpc-js";
import { reasonOf } from "../../kit/errors.ts";
import type { Log } from "../../kit/log.ts";
import { WorkloadApiError, type WorkloadApiErrorCode } from "../error.ts";

/** InvalidArgument makes clients give up for good, so only a wrong header gets it (WEP-12). */
const codes: Readonly<Record<WorkloadApiErrorCode, status>> = {
  HEADER_MISSING: status.INVALID_ARGUMENT,
  CALLER_UNKNOWN: status.UNAVAILABLE,
  CALLER_GONE: status.PERMISSION_DENIED,
  NO_IDENTITY: status.PERMISSION_DENIED,
  NOT_READY: status.UNAVAILABLE,
  PROFILE_NOT_SERVED: status.UNIMPLEMENTED,
  TOO_MANY_STREAMS: status.RESOURCE_EXHAUSTED,
  STOPPING: status.UNAVAILABLE,
  FAULT: status.INTERNAL,
};

/** What the client is told. The cause stays here: it is for the log. */
export function statusOf(error: WorkloadApiError): ServerErrorResponse {
  return Object.assign(new WorkloadApiError(error.code, error.message), {
    code: codes[error.code],
    details: error.message,
  });
}

/** Anything thrown, as this room's error: what is not ours is a fault of ours. */
export function asWorkloadApiError(thrown: unknown, log: Log): WorkloadApiError {
  if (thrown instanceof WorkloadApiError) {
    if (thrown.cause !== undefined) log.warn({ reason: reasonOf(thrown) }, "a call was refused");
    return thrown;
  }
  log.error({ reason: reasonOf(thrown) }, "a Workload API call failed");
  return new WorkloadApiError("FAULT", "internal error", { cause: thrown });
}
