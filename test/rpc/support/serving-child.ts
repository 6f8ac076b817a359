// A daemon of its own: `serving-child.ts <socket path>`. Prints "serving", then the code of every refusal.
import { silentLog } from "../../../src/kit/log.ts";
import { createGrpcServer } from "../../../src/rpc/grpc-server.ts";
import { linuxPeerReader } from "../../../src/rpc/linux-peer.ts";
import { listenUnix } from "../../../src/rpc/unix-server.ts";
import { addWho } from "./who-service.ts";

const server = createGrpcServer();
addWho(server);
await listenUnix({
  path: process.argv[2] ?? "",
  server,
  peers: linuxPeerReader(),
  log: silentLog,
  onRefused: (reason) => process.stdout.write(`${reason.code}\n`),
});
process.stdout.write("serving\n");
