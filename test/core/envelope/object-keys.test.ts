import { createHash } from "node:crypto";
import fc from "fast-check";
import { expect, test } from "vitest";
import {
  base32,
  bundleKey,
  controlKey,
  groupIndexKey,
  groupPageKey,
  isGroupPageKey,
  manifestKey,
  revocationsKey,
  token26,
} from "../../../src/core/envelope/object-keys.ts";
import { parseSpiffeId, parseTrustDomain } from "../../../src/core/spiffe/spiffe-id.ts";

// RFC 4648, section 10, lower case and without the padding.
test.for([
  ["", ""],
  ["f", "my"],
  ["fo", "mzxq"],
  ["foo", "mzxw6"],
  ["foob", "mzxw6yq"],
  ["fooba", "mzxw6ytb"],
  ["foobar", "mzxw6ytboi"],
] as const)("RFC 4648 base32 of %j is %j", ([text, expected]) => {
  expect(base32(Buffer.from(text))).toBe(expected);
});

test("base32 is the bits, five at a time", () => {
  const alphabet = "abcdefghijklmnopqrstuvwxyz234567";
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      const bits = [...bytes].map((byte) => byte.toString(2).padStart(8, "0")).join("");
      const fives = bits.match(/.{1,5}/g) ?? [];
      const expected = fives.map((five) => alphabet[Number.parseInt(five.padEnd(5, "0"), 2)]);
      expect(base32(bytes)).toBe(expected.join(""));
    }),
  );
});

test("ND-06 token26 is 26 characters of the SHA-256, safe in a subject", () => {
  expect(token26("abc")).toBe(base32(createHash("sha256").update("abc").digest()).slice(0, 26));
  // SHA-256("abc") = ba7816bf8f01cfea414140de5dae2223…
  expect(token26("abc")).toBe("xj4bnp4pahh6uqkbidpf3lrceo");
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      expect(token26(text)).toMatch(/^[a-z2-7]{26}$/);
    }),
  );
});

test("keys name the trust domain and the node by their SPIFFE IDs", () => {
  const td = parseTrustDomain("example.org");
  const node = parseSpiffeId("spiffe://example.org/herald/node/join_token/web-1");
  expect(bundleKey(td)).toBe(`bundle.${token26("spiffe://example.org")}`);
  expect(revocationsKey(td)).toBe(`rev.${token26("spiffe://example.org")}`);
  expect(manifestKey(node)).toBe(`node.${token26(node)}`);
});

test("a page of the group index is told from the index", () => {
  const page = groupPageKey(createHash("sha256").update("[]").digest());
  expect(page).toMatch(/^group\.[a-z2-7]{26}$/);
  expect([page, groupIndexKey, controlKey].map(isGroupPageKey)).toEqual([true, false, false]);
});
