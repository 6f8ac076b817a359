import type { WorkloadView } from "../../core/svid/workload-view.ts";
import { SdsError } from "../error.ts";
import type { Caller, ViewSource, ViewWatch } from "../ports.ts";
import type { IncomingCall } from "./handler-options.ts";

/**
 * The process at the other end of a call.
 * @throws {SdsError} CALLER_UNKNOWN
 */
export function callerOf(
  call: IncomingCall,
  options: { readonly callerOf: (call: IncomingCall) => Caller },
): Caller {
  try {
    return options.callerOf(call);
  } catch (cause) {
    throw new SdsError("CALLER_UNKNOWN", "the kernel does not say who calls", { cause });
  }
}

/**
 * Attests the caller and watches its view. A failure is Unavailable: Envoy dials again, and it may do then (SPIRE-09).
 * @throws {SdsError} CALLER_UNKNOWN
 */
export async function watchFor(
  caller: Caller,
  options: { readonly views: ViewSource },
  onChange: (view: WorkloadView) => void,
): Promise<ViewWatch> {
  try {
    return await options.views.watch(caller, onChange);
  } catch (cause) {
    throw new SdsError("CALLER_UNKNOWN", "the caller could not be attested", { cause });
  }
}
