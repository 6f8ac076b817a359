import type { WorkloadView } from "../../core/svid/workload-view.ts";
import { WorkloadApiError } from "../error.ts";
import type { Caller, ViewWatch } from "../ports.ts";
import type { IncomingCall, WorkloadApiOptions } from "./handler-options.ts";

const header = "workload.spiffe.io";

/**
 * Every method needs `workload.spiffe.io: true`, once and in lower case (WEP-05): a browser or another program that was
 * tricked into sending a request cannot set it.
 * @throws {WorkloadApiError} HEADER_MISSING
 */
export function requireHeader(call: IncomingCall): void {
  const values = call.metadata.get(header);
  if (values.length === 1 && values[0] === "true") return;
  throw new WorkloadApiError("HEADER_MISSING", `the metadata "${header}: true" is required, once`);
}

/**
 * The process at the other end of a call.
 * @throws {WorkloadApiError} CALLER_UNKNOWN
 */
export function callerOf(call: IncomingCall, options: WorkloadApiOptions): Caller {
  try {
    return options.callerOf(call);
  } catch (cause) {
    throw new WorkloadApiError("CALLER_UNKNOWN", "the kernel does not say who calls", { cause });
  }
}

/**
 * Attests the caller and watches its view. A failure is Unavailable: the client comes back, and it may do then (WEP-13).
 * @throws {WorkloadApiError} CALLER_UNKNOWN
 */
export async function watchFor(
  caller: Caller,
  options: WorkloadApiOptions,
  onChange: (view: WorkloadView) => void,
): Promise<ViewWatch> {
  try {
    return await options.views.watch(caller, onChange);
  } catch (cause) {
    const reason = "the caller could not be attested";
    throw new WorkloadApiError("CALLER_UNKNOWN", reason, { cause });
  }
}
