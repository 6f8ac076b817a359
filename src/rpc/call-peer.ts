import {
  experimental,
  type Metadata,
  ServerCredentials,
  ServerInterceptingCall,
  status,
} from "@grpc/grpc-js";
import { RpcError } from "./error.ts";
import type { Peer } from "./peer.ts";

/** What {@link peerOf} needs of a call; every kind of grpc-js call has it. */
export interface PeerCall {
  readonly metadata: Metadata;
}

// A private field of objects that are not ours: keyed by the identity of one call's metadata, never by what is in it.
const callPeers = new WeakMap<Metadata, Peer>();

/**
 * The process that made this call: the one that opened its connection. Holds for the call's whole life, and after
 * the connection's end ({@link Peer.isAlive} is false then).
 * @throws {RpcError} PEER_UNKNOWN for a call that came by no attested listener, such as one by TCP
 */
export function peerOf(call: PeerCall): Peer {
  const peer = callPeers.get(call.metadata);
  if (peer === undefined) {
    throw new RpcError(
      "PEER_UNKNOWN",
      "a call came by a connection whose caller is not known; serve this service on a Unix socket of listenUnix only",
    );
  }
  return peer;
}

/**
 * Credentials under which every call is given the peer of its connection. grpc-js tells an interceptor of its
 * connection only by the socket's `remoteAddress`, which for a Unix socket is empty and ours to define: `peerAt`
 * looks it up. No header takes part. A call without a peer ends here, its handler never runs.
 */
export function peerCredentials(
  peerAt: (remoteAddress: string) => Peer | undefined,
): ServerCredentials {
  return experimental.createServerCredentialsWithInterceptors(ServerCredentials.createInsecure(), [
    (_method, call) =>
      new ServerInterceptingCall(call, {
        start(next) {
          next({
            onReceiveMetadata(metadata, pass) {
              const peer = peerAt(call.getConnectionInfo().remoteAddress ?? "");
              if (peer === undefined) {
                call.sendStatus({
                  code: status.UNAVAILABLE,
                  details: "caller unknown; connect again",
                });
                return;
              }
              callPeers.set(metadata, peer);
              pass(metadata);
            },
          });
        },
      }),
  ]);
}
