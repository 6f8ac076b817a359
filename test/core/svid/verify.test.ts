import fc from "fast-check";
import { expect, test } from "vitest";
import type { Bundle } from "../../../src/core/bundle/bundle.ts";
import { parseTrustDomain, type TrustDomain } from "../../../src/core/spiffe/spiffe-id.ts";
import { SvidError } from "../../../src/core/svid/errors.ts";
import { verifyX509Svid } from "../../../src/core/svid/verify.ts";
import {
  bundlesOf,
  makeAuthority,
  makeBundle,
  makeLeaf,
  makeSvid,
  noon,
} from "../../support/ca-world.ts";
import { worldBundles } from "./hostile-case.ts";
import { hostileCases } from "./hostile-world.ts";
import { bundleOf, fromBase64, readVectors, writeVectors } from "./vectors.ts";

// WRITE_VECTORS=1 after a case was added; the test below says when that is due.
if (process.env["WRITE_VECTORS"] === "1") writeVectors();
const vectors = readVectors();

function outcome(
  chain: readonly Uint8Array[],
  bundles: ReadonlyMap<TrustDomain, Bundle>,
  now: number = noon,
): string {
  try {
    verifyX509Svid(chain, bundles, now);
    return "ok";
  } catch (error) {
    if (error instanceof SvidError) return error.code;
    throw error;
  }
}

test.for(hostileCases)("$rule $name: $expect", ({ chain, bundle, expect: expected }) => {
  expect(
    outcome(chain, bundlesOf(...worldBundles, ...(bundle === undefined ? [] : [bundle]))),
  ).toBe(expected);
});

test.for(vectors.cases)("vector $rule $name: $expect", ({ chain, bundle, expect: expected }) => {
  const all = { ...vectors.bundles, ...(bundle === undefined ? {} : { "example.org": bundle }) };
  const bundles = bundlesOf(...Object.entries(all).map(([name, list]) => bundleOf(name, list)));
  expect(outcome(fromBase64(chain), bundles, vectors.now)).toBe(expected);
});

test("the committed vectors are those of the world", () => {
  const names = (
    cases: readonly { rule: string; name: string; expect: string }[],
  ): readonly string[] => cases.map((one) => `${one.rule} ${one.name} ${one.expect}`);
  expect(names(vectors.cases)).toEqual(names(hostileCases));
});

test("XSVID-18 names the ID, the leaf and the authority that it found", () => {
  const [old, current] = [makeAuthority(), makeAuthority()];
  const svid = makeSvid([current]);
  const found = verifyX509Svid(
    svid.chain,
    bundlesOf(makeBundle("example.org", [old, current])),
    noon,
  );
  expect(found.id).toBe(svid.id);
  expect(found.leaf.serial).toBe(svid.serial);
  expect(found.authority.serial).toBe(current.certificate.serial);
});

test("XSVID-27 two authorities with one name and no key identifiers are told apart by their signatures", () => {
  const bare = { replace: { "2.5.29.14": undefined, "2.5.29.35": undefined } };
  const first = makeAuthority(bare);
  const second = makeAuthority({ ...bare, subject: first.certificate.subject });
  const leaf = makeLeaf(second, { replace: { "2.5.29.35": undefined } });
  const bundles = bundlesOf(makeBundle("example.org", [first, second]));
  expect(outcome([leaf], bundles)).toBe("ok");
});

test("one unreadable authority of a bundle does not hide the others", () => {
  const root = makeAuthority();
  const bundle = makeBundle("example.org", [root]);
  const mixed = { ...bundle, x509Authorities: [Uint8Array.of(1), ...bundle.x509Authorities] };
  expect(outcome([makeLeaf(root)], bundlesOf(mixed))).toBe("ok");
});

test("look-alike intermediates end in a refusal after few signature checks", () => {
  const lookalike = makeAuthority();
  const chain = Array.from(
    { length: 7 },
    () => makeAuthority({ parent: lookalike, subject: lookalike.certificate.subject }).der,
  );
  const bundles = bundlesOf(makeBundle("example.org", [makeAuthority()]));
  expect(outcome([makeLeaf(lookalike), ...chain], bundles)).toMatch(/^SVID_(SIGNATURE|UNTRUSTED)$/);
});

test("changing the caller's bytes afterwards changes nothing", () => {
  const root = makeAuthority();
  const leaf = makeLeaf(root);
  const found = verifyX509Svid([leaf], bundlesOf(makeBundle("example.org", [root])), noon);
  const before = Buffer.from(found.leaf.der).toString("hex");
  leaf.fill(0);
  expect(Buffer.from(found.leaf.der).toString("hex")).toBe(before);
});

test("XSVID-17 no single changed bit of a leaf is ever accepted", () => {
  const root = makeAuthority();
  const leaf = makeLeaf(root);
  const bundles = bundlesOf(makeBundle(parseTrustDomain("example.org"), [root]));
  fc.assert(
    fc.property(fc.nat(leaf.length * 8 - 1), (bit) => {
      const bent = new Uint8Array(leaf);
      bent[bit >> 3] = (bent[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(outcome([bent], bundles)).not.toBe("ok");
    }),
    { numRuns: 400 },
  );
});
