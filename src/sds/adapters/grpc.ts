import type {
  ServerDuplexStream,
  ServerUnaryCall,
  ServiceDefinition,
  sendUnaryData,
  UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { DiscoveryRequest } from "../../wire/envoy/service/discovery/v3/discovery.ts";
import { SecretDiscoveryServiceService } from "../../wire/envoy/service/secret/v3/sds.ts";
import { encodeResponse } from "../encode.ts";
import { SdsError } from "../error.ts";
import { fetchSecrets } from "../fetch.ts";
import { callerOf, watchFor } from "./calling.ts";
import {
  defaultRules,
  type ReceivedRequest,
  type SdsCallOptions,
  type SdsHandlerOptions,
} from "./handler-options.ts";
import { SecretStream } from "./secret-stream.ts";
import { asSdsError, statusOf } from "./status.ts";

function receive(bytes: Buffer): ReceivedRequest {
  try {
    return DiscoveryRequest.decode(bytes);
  } catch (cause) {
    return new SdsError("REQUEST_INVALID", "the request is not a DiscoveryRequest", { cause });
  }
}

/** Responses come as bytes that were encoded once for all streams, and pass as they are. */
const asBytes = (bytes: Buffer): Buffer => bytes;

const { streamSecrets, fetchSecrets: fetchMethod, deltaSecrets } = SecretDiscoveryServiceService;

/** envoy.service.secret.v3.SecretDiscoveryService; goes with {@link sdsHandlers} into `server.addService`. */
export const sdsService: ServiceDefinition = {
  streamSecrets: { ...streamSecrets, requestDeserialize: receive, responseSerialize: asBytes },
  fetchSecrets: { ...fetchMethod, requestDeserialize: receive, responseSerialize: asBytes },
  // No handler: grpc-js answers Unimplemented.
  deltaSecrets,
};

/** The handlers of {@link sdsService}. */
export function sdsHandlers(options: SdsHandlerOptions): UntypedServiceImplementation {
  const settled: SdsCallOptions = { ...options, rules: { ...defaultRules, ...options.rules } };
  let streams = 0;
  return {
    streamSecrets(call: ServerDuplexStream<ReceivedRequest, Buffer>): void {
      streams += 1;
      void new SecretStream(call, settled, streams).run();
    },
    fetchSecrets(
      call: ServerUnaryCall<ReceivedRequest, Buffer>,
      callback: sendUnaryData<Buffer>,
    ): void {
      void answerFetch(call, callback, settled);
    },
  };
}

async function answerFetch(
  call: ServerUnaryCall<ReceivedRequest, Buffer>,
  callback: sendUnaryData<Buffer>,
  options: SdsCallOptions,
): Promise<void> {
  try {
    callback(null, await fetchOnce(call, options));
  } catch (thrown) {
    callback(statusOf(asSdsError(thrown, options.log)));
  }
}

async function fetchOnce(
  call: ServerUnaryCall<ReceivedRequest, Buffer>,
  options: SdsCallOptions,
): Promise<Buffer> {
  const { request } = call;
  if (request instanceof SdsError) throw request;
  const caller = callerOf(call, options);
  const watch = await watchFor(caller, options, () => {});
  try {
    if (!caller.isAlive()) throw new SdsError("CALLER_GONE", "the calling process has ended");
    const snapshot = options.secrets.snapshot(watch.current());
    const now = options.clock.now();
    return encodeResponse(fetchSecrets(request, snapshot, { ...options.rules, now }));
  } finally {
    watch.close();
  }
}
