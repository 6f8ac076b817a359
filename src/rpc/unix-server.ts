import { createServer } from "node:net";
import type { Server } from "@grpc/grpc-js";
import { type Clock, systemClock } from "../kit/clock.ts";
import { reasonOf } from "../kit/errors.ts";
import type { Log } from "../kit/log.ts";
import { peerCredentials } from "./call-peer.ts";
import { keepDoor } from "./doorkeeper.ts";
import type { RpcError } from "./error.ts";
import type { Peer, PeerReader } from "./peer.ts";
import { placeSocket } from "./socket-file.ts";

/** How to serve gRPC on a Unix socket. */
export interface UnixServerOptions {
  /** Absolute, at most 107 bytes; its folder exists. */
  readonly path: string;
  /** Of the socket file. Defaults to 0o777: whoever connects is attested, which is the gate (WEP-11). */
  readonly mode?: number;
  /** From `createGrpcServer`. Its handlers learn their caller by `peerOf`. */
  readonly server: Server;
  readonly peers: PeerReader;
  readonly log: Log;
  /** Of one user at a time (TM-W-05). Defaults to 4096: each costs two descriptors. */
  readonly maxConnectionsPerUser?: number;
  /** Measures {@link UnixListener.close}'s grace. Defaults to the system's. */
  readonly clock?: Clock;
  /** Called for each connection once its caller is known, before any of its calls. */
  readonly onConnection?: (peer: Peer) => void;
  /** Called for each connection that was given nothing. */
  readonly onRefused?: (reason: RpcError) => void;
}

/** A Unix socket that is being served. */
export interface UnixListener {
  readonly path: string;
  /** Open connections, each with its peer. */
  connections(): number;
  /** Connections that were given nothing since the start. */
  refused(): number;
  /** Whether `path` still names this listener's own socket; false when somebody unlinked or replaced it (TM-W-07). */
  holdsPath(): Promise<boolean>;
  /**
   * Takes no more connections, lets running calls end for `graceMs` (default 1,000), then cuts them. The socket file
   * goes first, if it is still ours. Resolves when every connection is closed.
   */
  close(graceMs?: number): Promise<void>;
}

/**
 * Serves `server` on a Unix socket to callers known from the kernel. Plaintext HTTP/2 with prior knowledge (XDS-15);
 * no TLS (WEP-07).
 * @throws {RpcError} SOCKET_IN_USE, SOCKET_PATH_TOO_LONG, SOCKET_PATH_TAKEN, SOCKET_FOLDER_MISSING, SOCKET_FAILED
 */
export async function listenUnix(options: UnixServerOptions): Promise<UnixListener> {
  const doorkeeper = keepDoor({
    path: options.path,
    peers: options.peers,
    log: options.log,
    maxConnectionsPerUser: options.maxConnectionsPerUser ?? 4096,
    onConnection: options.onConnection ?? ((): void => {}),
    onRefused: options.onRefused ?? ((): void => {}),
  });
  const injector = options.server.createConnectionInjector(peerCredentials(doorkeeper.peerAt));
  const server = createServer((socket) => {
    if (doorkeeper.admit(socket)) injector.injectConnection(socket);
  });
  const file = await placeSocket({ ...options, mode: options.mode ?? 0o777, server }).catch(
    (thrown: unknown) => {
      injector.destroy();
      throw thrown;
    },
  );
  // EMFILE at accept comes here; unheard it would end the daemon.
  server.on("error", (error) => {
    options.log.error(
      { path: options.path, reason: reasonOf(error) },
      "a connection could not be accepted",
    );
  });
  let closing: Promise<void> | undefined;
  async function shut(graceMs: number): Promise<void> {
    // While we still listen nobody else takes the path for dead, so what is removed is ours.
    await file.remove();
    const closed = new Promise<void>((resolve) => {
      server.close(() => resolve());
    });
    injector.destroy();
    const clock = options.clock ?? systemClock;
    const cut = clock.after(graceMs, doorkeeper.cutAll);
    await closed;
    // A server closes one tick before the last of its sockets says so.
    await doorkeeper.empty();
    cut.cancel();
  }
  return {
    path: options.path,
    connections: doorkeeper.connections,
    refused: doorkeeper.refused,
    holdsPath: () => file.isOurs(),
    close: (graceMs = 1000) => (closing ??= shut(graceMs)),
  };
}
