import { Server, type ServerOptions } from "@grpc/grpc-js";

/** In bytes. The largest legitimate request is an ADS subscription by name, far below; a CSR batch too. */
export const longestMessage: number = 8 * 1024 * 1024;

const options: ServerOptions = {
  // google_grpc opens one stream a secret on one connection and never gets those above the limit (EF-04).
  "grpc.max_concurrent_streams": 8192,
  "grpc.max_receive_message_length": longestMessage,
  // Bundles and many SVIDs in one answer; Envoy took 6 MB (EF-04).
  "grpc.max_send_message_length": -1,
  // A stopped container does not close its sockets: found out within 40 s.
  "grpc.keepalive_time_ms": 30_000,
  "grpc.keepalive_timeout_ms": 10_000,
  // Unused here, and it keeps a record for every connection and call.
  "grpc.enable_channelz": 0,
};

/** A gRPC server with Herald's limits; add services, then hand it to `listenUnix`. */
export function createGrpcServer(): Server {
  return new Server(options);
}
