import fc from "fast-check";
import { expect, test } from "vitest";
import { parseCrl, verifyCrl } from "../../../src/core/x509/crl-reader.ts";
import { contextTag } from "../../../src/core/x509/der-tag.ts";
import { element, objectIdentifier, sequence } from "../../../src/core/x509/der-writer.ts";
import { X509Error } from "../../../src/core/x509/errors.ts";
import { keyUsage } from "../../../src/core/x509/extension-writer.ts";
import { oid } from "../../../src/core/x509/oid.ts";
import { hour, makeAuthority, makeKey, noon } from "../../support/ca-world.ts";
import {
  type CrlBend,
  crlNumber,
  makeCrl,
  profile,
  readCrl,
  strangeExtension,
} from "../../support/crl-world.ts";

const authority = makeAuthority();
const [delta, distributionPoint, certificateIssuer] = ["2.5.29.27", "2.5.29.28", "2.5.29.29"];
const strange = "1.3.6.1.4.1.99999.1";

function codeOf(run: () => unknown): string {
  try {
    run();
    return "none";
  } catch (thrown) {
    expect(thrown).toBeInstanceOf(X509Error);
    return thrown instanceof X509Error ? thrown.code : "";
  }
}

test("a CRL says who, when, which number, and whom it revokes for what reason", () => {
  const crl = readCrl(authority, {
    number: 2n ** 64n + 5n,
    revoked: [
      { serial: "8f01", reason: 1, at: noon - 5000 },
      { serial: "4a00000000000000000000000000000000000001" },
    ],
  });
  expect(crl).toMatchObject({
    authorityKeyId: authority.certificate.subjectKeyId,
    number: 2n ** 64n + 5n,
    thisUpdate: noon - hour,
    nextUpdate: noon + 24 * hour,
    revoked: [
      { serial: "8f01", reason: 1, at: noon - 5000 },
      {
        serial: "4a00000000000000000000000000000000000001",
        reason: undefined,
        at: noon - hour,
      },
    ],
  });
  expect(Buffer.from(crl.issuer).equals(authority.certificate.subject)).toBe(true);
  expect(() => verifyCrl(crl, authority.certificate)).not.toThrow();
});

test.for(["p256", "p384", "rsa2048", "ed25519"] as const)(
  "an empty CRL by a %s authority is read and verified",
  (kind) => {
    const one = makeAuthority({ kind });
    const crl = readCrl(one);
    expect(crl.revoked).toEqual([]);
    verifyCrl(crl, one.certificate);
  },
);

test("extensions that are not critical are passed over", () => {
  const crl = readCrl(authority, {
    add: [strangeExtension(strange, false)],
    revoked: [
      {
        serial: "01",
        reason: 9,
        extensions: [strangeExtension(oid.crlInvalidityDate, false)],
      },
    ],
  });
  expect(crl.revoked).toMatchObject([{ serial: "01", reason: 9 }]);
});

test.for([
  ["version 1", { version: null, extensions: null }, "X509_CRL"],
  ["version 3", { version: 2 }, "X509_CRL"],
  ["no nextUpdate", { nextUpdate: null }, "X509_CRL"],
  ["an end before its beginning", { nextUpdate: noon - 2 * hour }, "X509_CRL"],
  ["an end at its beginning", { nextUpdate: noon - hour }, "X509_CRL"],
  ["no extensions", { extensions: null }, "X509_DER"],
  ["an empty list of extensions", { extensions: [] }, "X509_DER"],
  ["no AuthorityKeyIdentifier", { extensions: [crlNumber(1n)] }, "X509_CRL"],
  ["no CRLNumber", { extensions: profile(authority).slice(0, 1) }, "X509_CRL"],
  ["two CRLNumbers", { add: [crlNumber(2n)] }, "X509_DUPLICATE_EXTENSION"],
  ["a CRLNumber of 21 octets", { number: 2n ** 161n }, "X509_CRL"],
  ["delta", { add: [strangeExtension(delta, true)] }, "X509_CRL_UNSUPPORTED"],
  ["delta, not critical", { add: [strangeExtension(delta, false)] }, "X509_CRL_UNSUPPORTED"],
  [
    "indirect or partial",
    { add: [strangeExtension(distributionPoint, true)] },
    "X509_CRL_UNSUPPORTED",
  ],
  [
    "an unknown critical extension",
    { add: [strangeExtension(strange, true)] },
    "X509_CRL_UNSUPPORTED",
  ],
  [
    "an entry of another issuer",
    { revoked: [{ serial: "01", extensions: [strangeExtension(certificateIssuer, true)] }] },
    "X509_CRL_UNSUPPORTED",
  ],
  [
    "an entry with an unknown critical extension",
    { revoked: [{ serial: "01", extensions: [strangeExtension(strange, true)] }] },
    "X509_CRL_UNSUPPORTED",
  ],
  ["an entry with removeFromCRL", { revoked: [{ serial: "01", reason: 8 }] }, "X509_CRL"],
  [
    "an entry with a reason that nobody knows",
    { revoked: [{ serial: "01", reason: 7 }] },
    "X509_CRL",
  ],
  [
    "one serial twice",
    { revoked: [{ serial: "0a" }, { serial: "0b" }, { serial: "0a" }] },
    "X509_CRL",
  ],
  ["a serial of 21 octets", { revoked: [{ serial: "01".repeat(21) }] }, "X509_CRL"],
  ["an empty list of revoked certificates", { emptyList: true }, "X509_CRL"],
  [
    "two algorithms",
    { outerAlgorithm: sequence(objectIdentifier(oid.ecdsaWithSha384)) },
    "X509_CRL",
  ],
] satisfies readonly (readonly [string, CrlBend, string])[])(
  "a CRL with %s is refused",
  ([, bend, code]) => {
    expect(codeOf(() => parseCrl(makeCrl(authority, bend)))).toBe(code);
  },
);

test("EF-26 bytes after a CRL, and anything after its extensions, are refused", () => {
  const good = makeCrl(authority);
  expect(codeOf(() => parseCrl(Buffer.concat([good, Buffer.of(0)])))).toBe("X509_DER");
  expect(codeOf(() => parseCrl(Buffer.concat([good, good])))).toBe("X509_DER");
  const extra = [...profile(authority), element(contextTag(1))];
  expect(codeOf(() => parseCrl(makeCrl(authority, { extensions: extra })))).toBe("X509_DER");
});

const other = makeAuthority();
test.for([
  ["of another authority", makeCrl(other), authority],
  [
    "with the authority's name and another key id",
    makeCrl(other, { issuer: authority.certificate.subject }),
    authority,
  ],
  [
    "with the authority's key id and another name",
    makeCrl(authority, { issuer: other.certificate.subject }),
    authority,
  ],
  ["signed by another key", makeCrl(authority, { key: makeKey() }), authority],
  ["signed by another kind of key", makeCrl(authority, { key: makeKey("rsa2048") }), authority],
  [
    "signed with SHA-1",
    (() => {
      const weak = makeAuthority({ kind: "p256-sha1" });
      return makeCrl(weak, {
        issuer: authority.certificate.subject,
        extensions: profile(authority),
      });
    })(),
    authority,
  ],
  [
    "with a mangled signature",
    makeCrl(authority, { withSignature: (bytes) => bytes.toReversed() }),
    authority,
  ],
] as const)("EF-26 a CRL %s is not the authority's", ([, der, by]) => {
  expect(codeOf(() => verifyCrl(parseCrl(der), by.certificate))).toBe("X509_CRL_FOREIGN");
});

test("an authority whose key usage lacks cRLSign signs no CRLs, as Envoy's library sees it", () => {
  const mute = makeAuthority({ replace: { [oid.keyUsage]: keyUsage("keyCertSign") } });
  expect(codeOf(() => verifyCrl(readCrl(mute), mute.certificate))).toBe("X509_CRL_FOREIGN");
});

test("what is read is a copy: its maker cannot change it afterwards", () => {
  const der = makeCrl(authority);
  const crl = parseCrl(der);
  der.fill(0);
  expect(() => verifyCrl(crl, authority.certificate)).not.toThrow();
});

const revocation = fc.record(
  {
    serial: fc.uint8Array({ minLength: 1, maxLength: 19 }).map((bytes) => {
      const first = (bytes[0] ?? 0) || 1;
      return Buffer.from([first, ...bytes.subarray(1)]).toString("hex");
    }),
    at: fc.integer({ min: 0, max: 4_000_000_000 }).map((second) => second * 1000),
    reason: fc.constantFrom(0, 1, 2, 3, 4, 5, 6, 9, 10),
  },
  { requiredKeys: ["serial", "at"] },
);

test("whatever is written is read again: serials, dates, reasons, number", () => {
  const lists = fc.uniqueArray(revocation, { maxLength: 20, selector: (one) => one.serial });
  fc.assert(
    fc.property(lists, fc.bigInt({ min: 0n, max: 2n ** 159n - 1n }), (revoked, number) => {
      const crl = readCrl(authority, { revoked, number });
      expect(crl.number).toBe(number);
      expect(crl.revoked).toEqual(revoked.map((one) => ({ reason: undefined, ...one })));
    }),
    { numRuns: 100 },
  );
});

test("EF-26 one changed, missing or added byte anywhere: refused, or no more the authority's", () => {
  const good = makeCrl(authority, { revoked: [{ serial: "4a01", reason: 1 }, { serial: "8f02" }] });
  const change = fc.record({
    at: fc.nat(good.length - 1),
    how: fc.constantFrom("flip", "drop", "insert"),
    value: fc.integer({ min: 1, max: 255 }),
  });
  fc.assert(
    fc.property(change, ({ at, how, value }) => {
      const before = good.subarray(0, at);
      const byte = good[at] ?? 0;
      const middle = how === "drop" ? [] : how === "flip" ? [byte ^ value] : [value, byte];
      const bent = Buffer.concat([before, Buffer.from(middle), good.subarray(at + 1)]);
      expect(codeOf(() => verifyCrl(parseCrl(bent), authority.certificate))).toMatch(/^X509_/);
    }),
    { numRuns: 1000 },
  );
});

test("hostile bytes lead to nothing but X509Error", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      expect(codeOf(() => parseCrl(bytes))).toMatch(/^X509_/);
    }),
  );
});
