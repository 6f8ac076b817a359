import type {
  ServerUnaryCall,
  ServerWritableStream,
  ServiceDefinition,
  sendUnaryData,
  UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { SpiffeWorkloadAPIService } from "../../wire/spiffe/workload/workloadapi.ts";
import { WorkloadApiError } from "../error.ts";
import type { X509Method } from "../ports.ts";
import { requireHeader } from "./calling.ts";
import type { IncomingCall, WorkloadApiOptions } from "./handler-options.ts";
import { asWorkloadApiError, statusOf } from "./status.ts";
import { streamPlaces } from "./stream-places.ts";
import { X509Stream } from "./x509-stream.ts";

/** The room encodes, once a view; grpc-js passes the bytes as they are. */
const asBytes = (bytes: Buffer): Buffer => bytes;

const { fetchX509Svid, fetchX509Bundles } = SpiffeWorkloadAPIService;

/** /SpiffeWorkloadAPI/ with its seven methods and nothing else (WEP-16); goes with {@link workloadApiHandlers}. */
export const workloadApiService: ServiceDefinition = {
  ...SpiffeWorkloadAPIService,
  fetchX509Svid: { ...fetchX509Svid, responseSerialize: asBytes },
  fetchX509Bundles: { ...fetchX509Bundles, responseSerialize: asBytes },
};

type Streaming = ServerWritableStream<unknown, Buffer>;

/** The handlers of {@link workloadApiService}. */
export function workloadApiHandlers(options: WorkloadApiOptions): UntypedServiceImplementation {
  const places = streamPlaces(options.maxStreamsPerCaller ?? 100);
  let streams = 0;
  const x509 = (method: X509Method) => (call: Streaming) => {
    streams += 1;
    void new X509Stream(call, { ...options, method, places, stream: streams }).run();
  };
  const refusal = (call: IncomingCall) =>
    statusOf(asWorkloadApiError(notServed(call), options.log));
  const noStream = (call: Streaming): void => {
    call.emit("error", refusal(call));
  };
  const noAnswer = (call: ServerUnaryCall<unknown, Buffer>, answer: sendUnaryData<Buffer>): void =>
    answer(refusal(call));
  return {
    fetchX509Svid: x509("FetchX509SVID"),
    fetchX509Bundles: x509("FetchX509Bundles"),
    fetchJwtsvid: noAnswer,
    fetchJwtBundles: noStream,
    validateJwtsvid: noAnswer,
    fetchWitsvid: noStream,
    fetchWitBundles: noStream,
  };
}

/** The header comes first on these as well (WEP-05); then the client hears that it need not ask again (WAPI-02). */
function notServed(call: IncomingCall): unknown {
  try {
    requireHeader(call);
    return new WorkloadApiError("PROFILE_NOT_SERVED", "this endpoint serves X.509-SVIDs only");
  } catch (thrown) {
    return thrown;
  }
}
