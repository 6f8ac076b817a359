import { createServer, type Socket } from "node:net";
import type { Server } from "@grpc/grpc-js";
import { type Clock, systemClock } from "../kit/clock.ts";
import { reasonOf } from "../kit/errors.ts";
import type { Log } from "../kit/log.ts";
import { peerCredentials } from "./call-peer.ts";
import { RpcError } from "./error.ts";
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
  const doorkeeper = keepDoor(options);
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

interface Doorkeeper {
  readonly admit: (socket: Socket) => boolean;
  readonly peerAt: (remoteAddress: string) => Peer | undefined;
  readonly connections: () => number;
  readonly refused: () => number;
  readonly cutAll: () => void;
  /** Resolves when every peer has been given up. */
  readonly empty: () => Promise<void>;
}

function keepDoor(options: UnixServerOptions): Doorkeeper {
  const guests = new Map<string, { readonly peer: Peer; readonly socket: Socket }>();
  const perUser = new Map<number, number>();
  const limit = options.maxConnectionsPerUser ?? 4096;
  const waiting: (() => void)[] = [];
  let accepted = 0;
  let refused = 0;

  function identify(socket: Socket): Peer {
    const peer = options.peers.read(socket);
    if ((perUser.get(peer.uid) ?? 0) < limit) return peer;
    peer.close();
    throw new RpcError(
      "PEER_TOO_MANY",
      `user ${peer.uid} holds ${limit} connections already; find out which of its processes does not close them`,
    );
  }

  function refuse(socket: Socket, reason: RpcError): void {
    refused += 1;
    // An error of a socket that nobody else listens to would end the daemon.
    socket.on("error", () => {});
    socket.destroy();
    const fields = { path: options.path, code: reason.code, reason: reasonOf(reason) };
    // Who connects and dies is no news; anything else wants somebody's attention.
    if (reason.code === "PEER_GONE") options.log.debug(fields, "refused a connection");
    else options.log.warn(fields, "refused a connection");
    options.onRefused?.(reason);
  }

  function enter(socket: Socket, peer: Peer): void {
    accepted += 1;
    const address = `peer-${accepted}`;
    // A Unix socket has no address of its own: an own property hides net.Socket's getter, and grpc-js passes it on.
    Object.defineProperty(socket, "remoteAddress", { value: address });
    guests.set(address, { peer, socket });
    perUser.set(peer.uid, (perUser.get(peer.uid) ?? 0) + 1);
    socket.once("close", () => {
      guests.delete(address);
      const left = (perUser.get(peer.uid) ?? 1) - 1;
      if (left === 0) perUser.delete(peer.uid);
      else perUser.set(peer.uid, left);
      peer.close();
      if (guests.size === 0) for (const tell of waiting.splice(0)) tell();
    });
    options.onConnection?.(peer);
  }

  return {
    admit(socket) {
      let peer: Peer;
      try {
        peer = identify(socket);
      } catch (thrown) {
        refuse(socket, asRefusal(thrown));
        return false;
      }
      enter(socket, peer);
      return true;
    },
    peerAt: (remoteAddress) => guests.get(remoteAddress)?.peer,
    connections: () => guests.size,
    refused: () => refused,
    cutAll() {
      for (const { socket } of guests.values()) socket.destroy();
    },
    empty: async () =>
      await new Promise((resolve) => {
        if (guests.size === 0) resolve();
        else waiting.push(resolve);
      }),
  };
}

/** Whatever a reader throws, the caller gets nothing. */
function asRefusal(thrown: unknown): RpcError {
  if (thrown instanceof RpcError) return thrown;
  return new RpcError("PEER_UNREADABLE", "the caller could not be identified; see the cause", {
    cause: thrown,
  });
}
