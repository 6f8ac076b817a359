import { createHash } from "node:crypto";
import { formatVersion, type Version } from "./version.ts";

/** One object's leaf: which contents stand under which key. */
export interface Leaf {
  readonly key: string;
  readonly version: Version;
  readonly digest: string;
}

/** The Merkle tree hash of RFC 6962, section 2.1, over all objects sorted by key; lower-case hex. */
export function merkleRoot(leaves: readonly Leaf[]): string {
  const sorted = leaves.toSorted((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
  return treeHash(sorted.map(leafHash)).toString("hex");
}

function leafHash(leaf: Leaf): Buffer {
  const written = [leaf.key, ...formatVersion(leaf.version).split("."), leaf.digest].join("\0");
  return createHash("sha256")
    .update(Buffer.from([0]))
    .update(written, "utf8")
    .digest();
}

function treeHash(hashes: readonly Buffer[]): Buffer {
  const [first] = hashes;
  if (first === undefined) return createHash("sha256").digest();
  if (hashes.length === 1) return first;
  const left = largestPowerOfTwoBelow(hashes.length);
  return createHash("sha256")
    .update(Buffer.from([1]))
    .update(treeHash(hashes.slice(0, left)))
    .update(treeHash(hashes.slice(left)))
    .digest();
}

function largestPowerOfTwoBelow(n: number): number {
  let power = 1;
  while (power * 2 < n) power *= 2;
  return power;
}
