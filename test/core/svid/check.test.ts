import { generateKeyPairSync } from "node:crypto";
import { expect, test } from "vitest";
import type { Bundle } from "../../../src/core/bundle/bundle.ts";
import { checkServable, checkServableBundle } from "../../../src/core/svid/check.ts";
import { SvidError } from "../../../src/core/svid/errors.ts";
import type { X509Svid } from "../../../src/core/svid/workload-view.ts";
import {
  hour,
  idOf,
  makeAuthority,
  makeBundle,
  makeKey,
  makeLeaf,
  makeSvid,
  noon,
} from "../../support/ca-world.ts";

function outcome(run: () => unknown): string {
  try {
    run();
    return "ok";
  } catch (error) {
    if (error instanceof SvidError) return error.code;
    throw error;
  }
}

const root = makeAuthority();
const middle = makeAuthority({ parent: root });
const bundle = makeBundle("example.org", [root]);
const svid = makeSvid([root]);
const pkcs8 = (key: ReturnType<typeof makeKey>): Uint8Array =>
  new Uint8Array(key.privateKey.export({ type: "pkcs8", format: "der" }));
const encrypted = new Uint8Array(
  generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({
    type: "pkcs8",
    format: "der",
    cipher: "aes-128-cbc",
    passphrase: "x",
  }),
);

test.for<readonly [string, Partial<X509Svid>, string]>([
  ["SDS-05 a good SVID", {}, "ok"],
  ["SDS-05 one below an intermediate", makeSvid([root, middle]), "ok"],
  ["SDS-05 another's key", { privateKey: pkcs8(makeKey()) }, "SVID_KEY_MISMATCH"],
  ["SDS-05 a key of another kind", { privateKey: pkcs8(makeKey("ed25519")) }, "SVID_KEY_MISMATCH"],
  ["EF-41 an encrypted key", { privateKey: encrypted }, "SVID_KEY_MALFORMED"],
  ["EF-41 no key", { privateKey: new Uint8Array() }, "SVID_KEY_MALFORMED"],
  ["EF-41 an expired leaf", makeSvid([root], { notAfter: noon - 1000 }), "SVID_EXPIRED"],
  ["SDS-05 no chain", { chain: [] }, "SVID_CHAIN_LENGTH"],
  ["SDS-05 an unknown authority", makeSvid([makeAuthority()]), "SVID_UNTRUSTED"],
  ["SDS-05 another ID", { id: idOf("/other") }, "SVID_MISLABELLED"],
  ["SDS-05 another serial", { serial: "00" }, "SVID_MISLABELLED"],
  ["SDS-05 another end", { expiresAt: noon + 2 * hour }, "SVID_MISLABELLED"],
  ["WAPI-10 the root in the chain", { chain: [...svid.chain, root.der] }, "SVID_ROOT_IN_CHAIN"],
])("%s: $2", ([, change, expected]) => {
  expect(outcome(() => checkServable({ ...svid, ...change }, bundle, noon))).toBe(expected);
});

test.for<readonly [string, Bundle | undefined, string]>([
  ["EF-26 no bundle", undefined, "SVID_BUNDLE_MISSING"],
  ["EF-26 an empty bundle", makeBundle("example.org", []), "SVID_BUNDLE_EMPTY"],
  [
    "EF-41 a broken authority",
    { ...bundle, x509Authorities: [root.der, Uint8Array.of(0x30)] },
    "SVID_BUNDLE_MALFORMED",
  ],
  [
    "EF-41 a leaf for an authority",
    { ...bundle, x509Authorities: [root.der, makeLeaf(root)] },
    "SVID_BUNDLE_MALFORMED",
  ],
  ["SDS-05 a good bundle", bundle, "ok"],
])("%s: $2", ([, given, expected]) => {
  expect(outcome(() => checkServableBundle(given))).toBe(expected);
  expect(outcome(() => checkServable(svid, given, noon))).toBe(expected);
});

test("XSVID-18 another domain's bundle does not serve", () => {
  const other = makeBundle("other.org", [root]);
  expect(outcome(() => checkServable(svid, other, noon))).toBe("SVID_BUNDLE_MISSING");
});
