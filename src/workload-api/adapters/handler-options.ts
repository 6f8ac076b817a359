import type { ServerUnaryCall } from "@grpc/grpc-js";
import type { Clock } from "../../kit/clock.ts";
import type { Log } from "../../kit/log.ts";
import type { Caller, ClientLog, SvidCheck, ViewSource } from "../ports.ts";

/** What every kind of call has, and enough to find its connection by. */
export type IncomingCall = Pick<ServerUnaryCall<unknown, unknown>, "metadata" | "getPeer">;

/** What the Workload API needs. */
export interface WorkloadApiOptions {
  /** Whose connection a call came on; throws when the kernel did not say. */
  readonly callerOf: (call: IncomingCall) => Caller;
  readonly views: ViewSource;
  readonly check: SvidCheck;
  readonly clients: ClientLog;
  readonly clock: Clock;
  readonly log: Log;
  /** Whether callers without an identity may read the own bundle. Defaults to false (WAPI-19). */
  readonly verifiersWithoutIdentity?: boolean;
  /** Streams that one caller may hold at a time. Defaults to 100: libraries hold two or three (WAPI-26). */
  readonly maxStreamsPerCaller?: number;
  /** How long a stream waits for its first message while the caller's first SVID is on its way. Defaults to 0: it ends with Unavailable at once (WEP-13). */
  readonly patienceMs?: number;
  /** Aborted when the daemon stops: every stream ends with Unavailable, and clients come back. */
  readonly signal?: AbortSignal;
}
