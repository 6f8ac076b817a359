import { type ServerErrorResponse, status } from "@grpc/grpc-js";
import { reasonOf } from "../../kit/errors.ts";
import type { Log } from "../../kit/log.ts";
import { SdsError, type SdsErrorCode } from "../error.ts";

const codes: Readonly<Record<SdsErrorCode, status>> = {
  CALLER_UNKNOWN: status.UNAVAILABLE,
  CALLER_GONE: status.PERMISSION_DENIED,
  REQUEST_INVALID: status.INVALID_ARGUMENT,
  NAME_UNKNOWN: status.INVALID_ARGUMENT,
  VALIDATOR_NEEDED: status.FAILED_PRECONDITION,
  NOT_SYNCED: status.UNAVAILABLE,
  FAULT: status.INTERNAL,
  STOPPING: status.UNAVAILABLE,
};

/** What the client is told. The cause stays here: it is for the log. */
export function statusOf(error: SdsError): ServerErrorResponse {
  return Object.assign(new SdsError(error.code, error.message), {
    code: codes[error.code],
    details: error.message,
  });
}

/** Anything thrown, as this room's error: what is not ours is a fault of ours, and Envoy does best to come again. */
export function asSdsError(thrown: unknown, log: Log): SdsError {
  if (thrown instanceof SdsError) {
    if (thrown.cause !== undefined) log.warn({ reason: reasonOf(thrown) }, "a call was refused");
    return thrown;
  }
  log.error({ reason: reasonOf(thrown) }, "an SDS call failed");
  return new SdsError("FAULT", "internal error", { cause: thrown });
}
