import type { Socket } from "node:net";

/**
 * The process that opened a connection, as the kernel knew it at connect. Passing the descriptor on, forking or
 * exec change nothing of it (TM-W-02). Satisfies attest's `PeerProcess`.
 */
export interface Peer {
  /** Effective user at connect. */
  readonly uid: number;
  /** Effective group at connect. */
  readonly gid: number;
  /** In this process' PID namespace; never 0 (TM-W-09). Its own while {@link Peer.isAlive}: it may be reused later. */
  readonly pid: number;
  /** Unique per connection in this process. */
  readonly id: string;
  /** Whether the process that connected still runs: asked of the process, not of its number (TM-W-01). False once closed. */
  isAlive(): boolean;
  /** Gives up the hold on the process; the listener does so when the connection ends. Twice is fine. */
  close(): void;
}

/** Tells who is at the other end of an accepted Unix connection. */
export interface PeerReader {
  /**
   * Reads at once, before any byte of the connection is parsed: afterwards the process may be gone.
   * Make one reader a process: it numbers its peers.
   * @throws {RpcError} PEER_UNREADABLE, PEER_GONE, PEER_FOREIGN
   */
  read(socket: Socket): Peer;
}
