import { createHash } from "node:crypto";
import fc from "fast-check";
import { expect, test } from "vitest";
import { type Leaf, merkleRoot } from "../../../src/core/envelope/merkle.ts";
import { digest, key, version } from "./support/fields.ts";

const sha256 = (...parts: readonly Uint8Array[]): Buffer =>
  createHash("sha256").update(Buffer.concat(parts)).digest();

/** RFC 6962, section 2.1, the other way round: level by level from the leaves up, an odd one out goes up as it is. */
function rootOf(leaves: readonly Uint8Array[]): string {
  let level = leaves.map((leaf) => sha256(Buffer.of(0), leaf));
  while (level.length > 1) {
    const above: Buffer[] = [];
    for (let at = 0; at < level.length; at += 2) {
      const [left, right] = level.slice(at, at + 2);
      if (left !== undefined)
        above.push(right === undefined ? left : sha256(Buffer.of(1), left, right));
    }
    level = above;
  }
  return (level[0] ?? sha256()).toString("hex");
}

const written = (leaf: Leaf): Buffer => {
  const { epoch, term, seq } = leaf.version;
  return Buffer.from(`${leaf.key}\0${epoch}\0${term}\0${seq}\0${leaf.digest}`, "utf8");
};

// certificate-transparency, cpp/merkletree/merkle_tree_test.cc: the first n leaves and their roots.
const ctLeaves = [
  "",
  "00",
  "10",
  "2021",
  "3031",
  "40414243",
  "5051525354555657",
  "606162636465666768696a6b6c6d6e6f",
].map((hex) => Buffer.from(hex, "hex"));

test.for([
  [0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"],
  [1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"],
  [2, "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
  [3, "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"],
  [4, "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"],
  [5, "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4"],
  [6, "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef"],
  [7, "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c"],
  [8, "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"],
] as const)("the yardstick gives Certificate Transparency's root of %i leaves", ([n, root]) => {
  expect(rootOf(ctLeaves.slice(0, n))).toBe(root);
});

const leaf: fc.Arbitrary<Leaf> = fc.record({ key, version, digest });
const leaves = fc.uniqueArray(leaf, { maxLength: 40, selector: (one) => one.key });

test("MEC-07 the root is RFC 6962's over the leaves sorted by key", () => {
  fc.assert(
    fc.property(leaves, (made) => {
      const sorted = made.toSorted((a, b) =>
        Buffer.compare(Buffer.from(a.key), Buffer.from(b.key)),
      );
      expect(merkleRoot(made)).toBe(rootOf(sorted.map(written)));
    }),
  );
});

test("MEC-07 the root does not depend on the order, and on everything else", () => {
  const two = fc.tuple(leaves, fc.nat()).filter(([made]) => made.length > 0);
  fc.assert(
    fc.property(two, digest, ([made, pick], other) => {
      const root = merkleRoot(made);
      expect(merkleRoot(made.toReversed())).toBe(root);
      const at = pick % made.length;
      const bent = made.map((one, index) => (index === at ? { ...one, digest: other } : one));
      const isSame = made[at]?.digest === other;
      expect(merkleRoot(bent) === root).toBe(isSame);
      expect(merkleRoot(made.toSpliced(at, 1))).not.toBe(root);
    }),
  );
});
