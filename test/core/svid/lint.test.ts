import { createPublicKey, generateKeyPairSync } from "node:crypto";
import fc from "fast-check";
import { expect, test } from "vitest";
import { SvidError } from "../../../src/core/svid/errors.ts";
import { type LintExpectation, lintSvid } from "../../../src/core/svid/lint.ts";
import { parseCertificate } from "../../../src/core/x509/certificate.ts";
import { readSequence } from "../../../src/core/x509/der-reader.ts";
import { element, sequence } from "../../../src/core/x509/der-writer.ts";
import {
  basicConstraints,
  extendedKeyUsage,
  keyUsage,
  subjectAltName,
} from "../../../src/core/x509/extension-writer.ts";
import { generalName } from "../../../src/core/x509/general-names.ts";
import { oid } from "../../../src/core/x509/oid.ts";
import { svidTemplate } from "../../../src/core/x509/svid-template.ts";
import {
  commonName,
  extension,
  hour,
  idOf,
  makeAuthority,
  makeKey,
  makeLeaf,
  nextSerial,
  noon,
  type SvidBend,
} from "../../support/ca-world.ts";

const root = makeAuthority();
const key = makeKey();
const serial = nextSerial();

/** What {@link makeLeaf} writes when it is not bent. */
const expected: LintExpectation = {
  id: idOf("/web"),
  dnsNames: [],
  spki: key.spki,
  serial,
  notBefore: noon - 10_000,
  notAfter: noon + hour,
  authority: root.certificate,
  now: noon,
};

function outcome(toBeSigned: Uint8Array, change: Partial<LintExpectation> = {}): string {
  try {
    lintSvid(toBeSigned, { ...expected, ...change });
    return "ok";
  } catch (error) {
    if (error instanceof SvidError) return error.code;
    throw error;
  }
}

function tbsOf(bend: SvidBend = {}): Uint8Array {
  return readSequence(makeLeaf(root, { key, serial, ...bend })).any().encoded;
}

const fields = { ...expected, dnsNames: ["web.example.org", "*.web.example.org"] };

test("issuance order: what the template writes passes", () => {
  const template = svidTemplate(root.certificate);
  expect(outcome(template.toBeSigned(fields), fields)).toBe("ok");
  expect(outcome(template.toBeSigned({ ...fields, notAfter: fields.notAfter + 999 }), fields)).toBe(
    "ok",
  );
  expect(outcome(tbsOf())).toBe("ok");
});

/** DER of a subjectAltName with a name of another kind beside the URI. */
function sanWith(nameTag: number, content: string): Uint8Array {
  const names = sequence(
    element(generalName.uri, Buffer.from(expected.id)),
    element(nameTag, Buffer.from(content)),
  );
  return extension(oid.subjectAltName, true, names);
}

const offTheProfile: readonly (readonly [string, SvidBend, string])[] = [
  ["XSVID-02 a second URI name", { uris: [expected.id, "spiffe://example.org/b"] }, "LINT_ID"],
  ["XSVID-01 another ID", { id: "spiffe://example.org/other" }, "LINT_ID"],
  ["XSVID-03 a DNS name that the entry lacks", { dnsNames: ["evil.example"] }, "LINT_NAMES"],
  [
    "XSVID-03 an email name",
    { replace: { [oid.subjectAltName]: sanWith(generalName.email, "a@b") } },
    "LINT_NAMES",
  ],
  [
    "XSVID-03 an IP name",
    { replace: { [oid.subjectAltName]: sanWith(generalName.ip, "abcd") } },
    "LINT_NAMES",
  ],
  [
    "XSVID-05 an alternative name that is not critical",
    {
      replace: {
        [oid.subjectAltName]: subjectAltName({ uris: [expected.id], dnsNames: [] }, false),
      },
    },
    "LINT_EXTENSIONS",
  ],
  ["XSVID-05 a subject", { subject: commonName("web") }, "LINT_SUBJECT"],
  [
    "XSVID-06 cA true",
    { replace: { [oid.basicConstraints]: basicConstraints(true) } },
    "LINT_PROFILE",
  ],
  [
    "XSVID-06 no basicConstraints",
    { replace: { [oid.basicConstraints]: undefined } },
    "LINT_EXTENSIONS",
  ],
  ["XSVID-08 no keyUsage", { replace: { [oid.keyUsage]: undefined } }, "LINT_EXTENSIONS"],
  [
    "XSVID-10 keyCertSign",
    { replace: { [oid.keyUsage]: keyUsage("digitalSignature", "keyCertSign") } },
    "LINT_PROFILE",
  ],
  [
    "XSVID-09 keyAgreement",
    { replace: { [oid.keyUsage]: keyUsage("digitalSignature", "keyAgreement") } },
    "LINT_PROFILE",
  ],
  [
    "XSVID-12 serverAuth alone",
    { replace: { [oid.extendedKeyUsage]: extendedKeyUsage(oid.serverAuth) } },
    "LINT_PROFILE",
  ],
  [
    "XSVID-12 a third purpose",
    {
      replace: {
        [oid.extendedKeyUsage]: extendedKeyUsage(
          oid.serverAuth,
          oid.clientAuth,
          "1.3.6.1.5.5.7.3.3",
        ),
      },
    },
    "LINT_PROFILE",
  ],
  [
    "XSVID-26 no subjectKeyIdentifier",
    { replace: { [oid.subjectKeyIdentifier]: undefined } },
    "LINT_KEY_IDS",
  ],
  [
    "XSVID-26 another authorityKeyIdentifier",
    { replace: { [oid.authorityKeyIdentifier]: undefined } },
    "LINT_KEY_IDS",
  ],
  ["one extension more", { add: [extension("1.2.3.4", false, sequence())] }, "LINT_EXTENSIONS"],
  ["another serial", { serial: nextSerial() }, "LINT_SERIAL"],
  ["another key", { key: makeKey() }, "LINT_KEY"],
  ["another issuer", { issuer: commonName("other") }, "LINT_ISSUER"],
  ["another notBefore", { notBefore: noon - 11_000 }, "LINT_DATES"],
  ["another notAfter", { notAfter: noon + hour + 1000 }, "LINT_DATES"],
  ["version 1", { version: 1 }, "LINT_MALFORMED"],
];

test.for(offTheProfile)("%s is refused", ([, bend, code]) => {
  expect(outcome(tbsOf(bend))).toBe(code);
});

const lateAuthority = makeAuthority({ notAfter: noon + 60_000 });
const strangeKey = makeKey("ed25519");

test.for<readonly [string, string, () => string]>([
  [
    "XSVID-26 a short serial",
    "LINT_SERIAL",
    () =>
      outcome(tbsOf({ serial: Buffer.from("40414243", "hex") }), {
        serial: Buffer.from("40414243", "hex"),
      }),
  ],
  [
    "XSVID-26 a serial of 21 octets",
    "LINT_SERIAL",
    () => outcome(tbsOf({ serial: Buffer.alloc(20, 0xff) }), { serial: Buffer.alloc(20, 0xff) }),
  ],
  [
    "XSVID-04 no path",
    "LINT_ID",
    () => outcome(tbsOf({ uris: ["spiffe://example.org"] }), { id: idOf("") }),
  ],
  [
    "XSVID-24 notAfter past the authority's",
    "LINT_DATES",
    () =>
      outcome(parseCertificate(makeLeaf(lateAuthority, { key, serial })).tbs, {
        authority: lateAuthority.certificate,
      }),
  ],
  ["a lifetime that is over", "LINT_DATES", () => outcome(tbsOf(), { now: noon + 2 * hour })],
  ["a lifetime that has not begun", "LINT_DATES", () => outcome(tbsOf(), { now: noon - hour })],
  [
    "an authority that has expired",
    "LINT_AUTHORITY",
    () => outcome(tbsOf(), { now: noon + 48 * hour }),
  ],
  [
    "another trust domain",
    "LINT_AUTHORITY",
    () => outcome(tbsOf(), { authority: makeAuthority({ trustDomain: "other.org" }).certificate }),
  ],
  [
    "a leaf for an authority",
    "LINT_AUTHORITY",
    () => outcome(tbsOf(), { authority: parseCertificate(makeLeaf(root)) }),
  ],
  [
    "another authority",
    "LINT_ISSUER",
    () => outcome(tbsOf(), { authority: makeAuthority().certificate }),
  ],
  [
    "another curve's authority",
    "LINT_ALGORITHM",
    () => outcome(tbsOf(), { authority: makeAuthority({ kind: "p384" }).certificate }),
  ],
  [
    "the authority's own key",
    "LINT_KEY",
    () => outcome(tbsOf({ key: root.key }), { spki: root.key.spki }),
  ],
  [
    "a key on another curve",
    "LINT_KEY",
    () => outcome(tbsOf({ key: strangeKey }), { spki: strangeKey.spki }),
  ],
  [
    "a point off the curve",
    "LINT_KEY",
    () => outcome(tbsOf({ key: offCurve() }), { spki: offCurve().spki }),
  ],
  ["bytes behind", "LINT_MALFORMED", () => outcome(Buffer.concat([tbsOf(), Buffer.of(0)]))],
  ["an entry for a reserved ID", "LINT_RESERVED", () => reserved(true)],
])("%s: %s", ([, code, run]) => {
  expect(run()).toBe(code);
});

test("protocol.md: a node may have a reserved ID", () => {
  expect(reserved(false)).toBe("ok");
});

function reserved(isForEntry: boolean): string {
  const id = idOf("/herald/node/a");
  return outcome(tbsOf({ id }), { id, isForEntry });
}

function offCurve(): typeof key {
  const spki = new Uint8Array(key.spki);
  spki[spki.length - 1] = (spki.at(-1) ?? 0) ^ 1;
  return { ...key, spki };
}

test("any changed byte of the to-be-signed part is refused", () => {
  const good = tbsOf();
  fc.assert(
    fc.property(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
      const bent = new Uint8Array(good);
      bent[at] = (bent[at] ?? 0) ^ change;
      expect(outcome(bent)).not.toBe("ok");
    }),
    { numRuns: 1000 },
  );
});

test("a P-384 workload key passes", () => {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-384" });
  const spki = new Uint8Array(
    createPublicKey(publicKey.export({ type: "spki", format: "pem" })).export({
      type: "spki",
      format: "der",
    }),
  );
  expect(outcome(tbsOf({ key: { ...key, privateKey, spki } }), { spki })).toBe("ok");
});
