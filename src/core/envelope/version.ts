/** Which of two contents of a state object is newer: compared epoch first, then term, then seq (docs/protocol.md, State). */
export interface Version {
  readonly epoch: bigint;
  readonly term: bigint;
  readonly seq: bigint;
}

/** Older than every object. */
export const zeroVersion: Version = { epoch: 0n, term: 0n, seq: 0n };

/** Negative when `a` is older than `b`, zero when they are the same version, positive when it is newer. */
export function compareVersions(a: Version, b: Version): number {
  return order(a.epoch, b.epoch) || order(a.term, b.term) || order(a.seq, b.seq);
}

/** `epoch.term.seq`, for logs, acknowledgements and people. */
export function formatVersion(version: Version): string {
  return `${version.epoch}.${version.term}.${version.seq}`;
}

/** A new term starts this far above the highest seq its leader knows, so that a seq lost with the old leader is never used twice. */
export const seqGapOfNewTerm = 4096n;

/** `spiffe_sequence` of a bundle object: epochs keep it growing over a restore (BDL-03). */
export function spiffeSequence(version: Version): bigint {
  return version.epoch * 2n ** 32n + version.seq;
}

function order(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
