import type { Socket } from "node:net";
import { reasonOf } from "../kit/errors.ts";
import type { Log } from "../kit/log.ts";
import { RpcError } from "./error.ts";
import type { Peer, PeerReader } from "./peer.ts";

/** Lets connections in whose caller is known, and knows them while they are open. */
export interface Doorkeeper {
  /** False: the connection was given nothing and is closed. */
  readonly admit: (socket: Socket) => boolean;
  /** By the `remoteAddress` that {@link Doorkeeper.admit} gave the socket. */
  readonly peerAt: (remoteAddress: string) => Peer | undefined;
  readonly connections: () => number;
  readonly refused: () => number;
  readonly cutAll: () => void;
  /** Resolves when every peer has been given up. */
  readonly empty: () => Promise<void>;
}

/** What a doorkeeper goes by. */
export interface DoorOptions {
  /** Names the door in the log. */
  readonly path: string;
  readonly peers: PeerReader;
  readonly log: Log;
  readonly maxConnectionsPerUser: number;
  readonly onConnection: (peer: Peer) => void;
  readonly onRefused: (reason: RpcError) => void;
}

/** A door that nobody has passed yet. */
export function keepDoor(options: DoorOptions): Doorkeeper {
  const guests = new Map<string, { readonly peer: Peer; readonly socket: Socket }>();
  const quota = perUser(options.maxConnectionsPerUser);
  let accepted = 0;
  let refused = 0;
  let tellEmpty = (): void => {};

  function enter(socket: Socket, peer: Peer): void {
    accepted += 1;
    const address = `peer-${accepted}`;
    // A Unix socket has no address of its own: an own property hides net.Socket's getter, and grpc-js passes it on.
    Object.defineProperty(socket, "remoteAddress", { value: address });
    guests.set(address, { peer, socket });
    socket.once("close", () => {
      guests.delete(address);
      quota.giveBack(peer.uid);
      peer.close();
      if (guests.size === 0) tellEmpty();
    });
    options.onConnection(peer);
  }

  return {
    admit(socket) {
      try {
        enter(socket, identify(socket, options.peers, quota));
        return true;
      } catch (thrown) {
        refused += 1;
        turnAway(socket, asRefusal(thrown), options);
        return false;
      }
    },
    peerAt: (remoteAddress) => guests.get(remoteAddress)?.peer,
    connections: () => guests.size,
    refused: () => refused,
    cutAll() {
      for (const { socket } of guests.values()) socket.destroy();
    },
    empty: async () =>
      await new Promise((resolve) => {
        tellEmpty = resolve;
        if (guests.size === 0) resolve();
      }),
  };
}

interface Quota {
  take(uid: number): void;
  giveBack(uid: number): void;
}

/** @throws {RpcError} PEER_TOO_MANY */
function perUser(limit: number): Quota {
  const open = new Map<number, number>();
  return {
    take(uid) {
      const held = open.get(uid) ?? 0;
      if (held >= limit) {
        throw new RpcError(
          "PEER_TOO_MANY",
          `user ${uid} holds ${held} connections already; find out which of its processes does not close them`,
        );
      }
      open.set(uid, held + 1);
    },
    giveBack(uid) {
      const left = (open.get(uid) ?? 1) - 1;
      if (left === 0) open.delete(uid);
      else open.set(uid, left);
    },
  };
}

function identify(socket: Socket, peers: PeerReader, quota: Quota): Peer {
  const peer = peers.read(socket);
  try {
    quota.take(peer.uid);
    return peer;
  } catch (thrown) {
    peer.close();
    throw thrown;
  }
}

function turnAway(socket: Socket, reason: RpcError, { path, log, onRefused }: DoorOptions): void {
  // An error of a socket that nobody else listens to would end the daemon.
  socket.on("error", () => {});
  socket.destroy();
  const fields = { path, code: reason.code, reason: reasonOf(reason) };
  // Who connects and dies is no news, and could fill the log at will; anything else wants somebody's attention.
  if (reason.code === "PEER_GONE") log.debug(fields, "refused a connection");
  else log.warn(fields, "refused a connection");
  onRefused(reason);
}

/** Whatever a reader throws, the caller gets nothing. */
function asRefusal(thrown: unknown): RpcError {
  if (thrown instanceof RpcError) return thrown;
  return new RpcError("PEER_UNREADABLE", "the caller could not be identified; see the cause", {
    cause: thrown,
  });
}
