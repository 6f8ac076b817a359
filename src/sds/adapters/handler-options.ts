import type { ServerUnaryCall } from "@grpc/grpc-js";
import type { Clock } from "../../kit/clock.ts";
import type { Log } from "../../kit/log.ts";
import type { DiscoveryRequest } from "../../wire/envoy/service/discovery/v3/discovery.ts";
import type { SdsError } from "../error.ts";
import type { Caller, ConsumerLog, ViewSource } from "../ports.ts";
import type { SecretCatalog } from "../secrets.ts";
import type { StreamRules } from "../stream.ts";

/** What every kind of call has, and enough to find its connection by. */
export type IncomingCall = Pick<ServerUnaryCall<unknown, unknown>, "metadata" | "getPeer">;

/** What the SDS service needs. */
export interface SdsHandlerOptions {
  /** Whose connection a call came on; throws when the kernel did not say. */
  readonly callerOf: (call: IncomingCall) => Caller;
  readonly views: ViewSource;
  readonly secrets: SecretCatalog;
  readonly consumers: ConsumerLog;
  readonly clock: Clock;
  readonly log: Log;
  /** Each part defaults to {@link defaultRules}. */
  readonly rules?: Partial<StreamRules>;
  /** Aborted when the daemon stops: every stream ends with Unavailable, and Envoy keeps its secrets (XDS-14). */
  readonly signal?: AbortSignal;
}

/** The options of one call, with the rules settled. */
export interface SdsCallOptions extends SdsHandlerOptions {
  readonly rules: StreamRules;
}

/** The SPIFFE validator for all, and a stream stays open for names that may still come. */
export const defaultRules: StreamRules = { disableSpiffeValidation: false, unknownName: "wait" };

/** A request as it came, or the error that ends its stream: grpc-js itself would say Internal (XDS-11). */
export type ReceivedRequest = DiscoveryRequest | SdsError;
