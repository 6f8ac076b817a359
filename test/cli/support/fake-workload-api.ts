import { join } from "node:path";
import { type handleServerStreamingCall, Server, status } from "@grpc/grpc-js";
import type { X509Svid } from "../../../src/core/svid/workload-view.ts";
import {
  SpiffeWorkloadAPIClient,
  type X509SVIDRequest,
  type X509SVIDResponse,
} from "../../../src/wire/spiffe/workload/workloadapi.ts";
import { listen } from "./fake-admin.ts";
import { temporaryFolder } from "./run.ts";

/** What one call is answered with. */
export type FakeAnswer = X509SVIDResponse | { readonly code: status; readonly details: string };

/** A real gRPC server that plays a node daemon; like one it refuses calls without the security header. */
export async function fakeWorkloadApi(
  answer: FakeAnswer,
): Promise<{ readonly address: string; [Symbol.dispose](): void }> {
  const folder = temporaryFolder();
  const server = new Server();
  const fetchX509Svid: handleServerStreamingCall<X509SVIDRequest, X509SVIDResponse> = (call) => {
    const isDirect = call.metadata.get("workload.spiffe.io")[0] === "true";
    if (!isDirect) call.emit("error", { code: status.INVALID_ARGUMENT, details: "no header" });
    else if ("code" in answer) call.emit("error", answer);
    // The stream stays open, as the Workload API's do.
    else call.write(answer);
  };
  server.addService(SpiffeWorkloadAPIClient.service, {
    fetchX509Svid,
    fetchX509Bundles: () => {},
    fetchJwtsvid: () => {},
    fetchJwtBundles: () => {},
    validateJwtsvid: () => {},
    fetchWitsvid: () => {},
    fetchWitBundles: () => {},
  });
  const path = join(folder.path, "herald.sock");
  await listen(server, path);
  return {
    address: `unix://${path}`,
    [Symbol.dispose]() {
      server.forceShutdown();
      folder[Symbol.dispose]();
    },
  };
}

/** An SVID as the wire has it. */
export function wireSvid(
  svid: X509Svid,
  bundle: readonly Uint8Array[],
): X509SVIDResponse["svids"][number] {
  return {
    spiffeId: svid.id,
    x509Svid: Buffer.concat(svid.chain),
    x509SvidKey: Buffer.from(svid.privateKey),
    bundle: Buffer.concat(bundle),
    hint: svid.hint,
  };
}
