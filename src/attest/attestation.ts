import type { Selector } from "../core/spiffe/selector.ts";
import { AttestError } from "./error.ts";

/** A process as the kernel names it: the credentials of its connect, and a hold on it against reuse of its pid. */
export interface PeerProcess {
  readonly uid: number;
  readonly gid: number;
  readonly pid: number;
  /** False from the moment the process has ended, whoever has its pid then. */
  isAlive(): boolean;
}

/** One kind of facts about a process. */
export interface SelectorSource {
  /**
   * What is true of `peer`, or nothing. May read `/proc/<pid>` without a check of its own: {@link attestPeer} throws
   * away what was read if the process was not alive all the while.
   * Rejects rather than leave a fact out.
   */
  selectorsOf(peer: PeerProcess): Promise<readonly Selector[]>;
}

/**
 * Everything that `sources` know of `peer`, sorted, each once. A pid belongs to one process until that has ended, so
 * alive after the last read means that every read was of this process (MEC-10, TM-W-01).
 * @throws {AttestError} PEER_GONE, PEER_CHANGED, SOURCE_FAILED
 */
export async function attestPeer(
  peer: PeerProcess,
  sources: readonly SelectorSource[],
): Promise<readonly Selector[]> {
  requireAlive(peer);
  const found = await Promise.allSettled(
    sources.map(async (source) => await source.selectorsOf(peer)),
  );
  // First: a source that stumbled over a vanished /proc/<pid> did not fail.
  requireAlive(peer);
  const selectors = new Set<Selector>();
  for (const result of found) {
    if (result.status === "rejected") throw sourceFailure(peer, result.reason);
    for (const selector of result.value) selectors.add(selector);
  }
  return [...selectors].toSorted();
}

function requireAlive(peer: PeerProcess): void {
  if (peer.isAlive()) return;
  throw new AttestError(
    "PEER_GONE",
    `process ${peer.pid} ended before it was known; a process must live as long as its connection, so connect from one that stays`,
  );
}

function sourceFailure(peer: PeerProcess, reason: unknown): AttestError {
  if (reason instanceof AttestError) return reason;
  return new AttestError(
    "SOURCE_FAILED",
    `process ${peer.pid} could not be described; the cause says what to mend`,
    { cause: reason },
  );
}
