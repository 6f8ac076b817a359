import fc from "fast-check";
import { expect, test } from "vitest";
import { parseCertificate } from "../../../src/core/x509/certificate.ts";
import { readCsr } from "../../../src/core/x509/csr.ts";
import {
  DerReader,
  readBitString,
  readBoolean,
  readNamedBits,
  readObjectIdentifier,
  readSequence,
  readSmallInteger,
  readUnsigned,
} from "../../../src/core/x509/der-reader.ts";
import { tag } from "../../../src/core/x509/der-tag.ts";
import { readTime } from "../../../src/core/x509/der-time.ts";
import {
  element,
  namedBits,
  objectIdentifier,
  octetString,
  sequence,
  time,
  unsignedInteger,
} from "../../../src/core/x509/der-writer.ts";
import { X509Error } from "../../../src/core/x509/errors.ts";
import { parsePem } from "../../../src/core/x509/pem.ts";
import { makeAuthority, makeLeaf } from "../../support/ca-world.ts";

function outcome(run: () => unknown): string {
  try {
    run();
    return "ok";
  } catch (error) {
    if (error instanceof X509Error) return error.code;
    throw error;
  }
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

test.for([
  ["3000", "ok"],
  ["30", "X509_DER", "no length"],
  ["", "X509_DER", "nothing"],
  ["3001", "X509_DER", "content missing"],
  ["300000", "X509_DER", "bytes behind"],
  ["30800000", "X509_DER", "indefinite length"],
  ["308100", "X509_DER", "0 in the long form"],
  ["30817f" + "00".repeat(127), "X509_DER", "127 in the long form"],
  ["308180" + "04".repeat(128), "ok"],
  ["30820080" + "00".repeat(128), "X509_DER", "128 in two bytes"],
  ["3085010000000000", "X509_DER", "length of five bytes"],
  ["30ff", "X509_DER", "reserved length"],
  ["30840fffffff", "X509_DER", "length beyond the input"],
  ["3100", "X509_DER", "a SET"],
] as const)("DER %s: %s", ([input, expected]) => {
  expect(outcome(() => readSequence(Buffer.from(input, "hex")))).toBe(expected);
});

test.for([["1f8101"], ["0000"], ["3f00"]])("DER refuses the tag of %s", ([input = ""]) => {
  expect(outcome(() => new DerReader(Buffer.from(input, "hex")).any())).toBe("X509_DER");
});

test.for([
  [readUnsigned, "", "X509_DER"],
  [readUnsigned, "80", "X509_DER"],
  [readUnsigned, "0001", "X509_DER"],
  [readUnsigned, "0080", "ok"],
  [readSmallInteger, "0100000000", "X509_DER"],
  [readBoolean, "01", "X509_DER"],
  [readBoolean, "ff", "ok"],
  [readBoolean, "ffff", "X509_DER"],
  [readBitString, "", "X509_DER"],
  [readBitString, "0100", "X509_DER"],
  [readNamedBits, "", "X509_DER"],
  [readNamedBits, "0780", "ok"],
  [readNamedBits, "0680", "X509_DER"],
  [readNamedBits, "0781", "X509_DER"],
  [readNamedBits, "0880", "X509_DER"],
  [readNamedBits, "00", "ok"],
  [readNamedBits, "01", "X509_DER"],
  [readObjectIdentifier, "", "X509_DER"],
  [readObjectIdentifier, "8001", "X509_DER"],
  [readObjectIdentifier, "2a86", "X509_DER"],
  [readObjectIdentifier, "2affffffffffffffff7f", "X509_DER"],
] as const)("DER %o of %s: %s", ([read, input, expected]) => {
  expect(outcome(() => read(Buffer.from(input, "hex")))).toBe(expected);
});

test.for([
  ["1.2.840.10045.4.3.2", "06082a8648ce3d040302"],
  ["2.5.29.17", "0603551d11"],
  ["1.3.101.112", "06032b6570"],
] as const)("an OBJECT IDENTIFIER %s is %s and back", ([dotted, encoded]) => {
  expect(hex(objectIdentifier(dotted))).toBe(encoded);
  expect(readObjectIdentifier(Buffer.from(encoded, "hex").subarray(2))).toBe(dotted);
});

test.for([
  [[0], "03020780"],
  [[5, 6], "03020106"],
] as const)("named bits %j are %s and back", ([bits, encoded]) => {
  expect(hex(namedBits(bits))).toBe(encoded);
  expect([...readNamedBits(Buffer.from(encoded, "hex").subarray(2))]).toEqual(bits);
});

test.for([
  [0, "700101000000Z", tag.utcTime],
  [Date.UTC(2026, 10, 22, 12, 30, 59) + 999, "261122123059Z", tag.utcTime],
  [Date.UTC(2049, 11, 31, 23, 59, 59), "491231235959Z", tag.utcTime],
  [Date.UTC(2050, 0, 1), "20500101000000Z", tag.generalizedTime],
] as const)("RFC 5280 4.1.2.5: %d is %s", ([ms, text, expectedTag]) => {
  const written = new DerReader(time(ms)).any();
  expect([written.tag, Buffer.from(written.content).toString()]).toEqual([expectedTag, text]);
  expect(readTime(written)).toBe(Math.floor(ms / 1000) * 1000);
});

test.for([
  [tag.utcTime, "260231000000Z"],
  [tag.utcTime, "261122240000Z"],
  [tag.utcTime, "261122126000Z"],
  [tag.utcTime, "2611221230Z"],
  [tag.utcTime, "261122123000+0100"],
  [tag.utcTime, "20261122123000Z"],
  [tag.generalizedTime, "261122123000Z"],
  [tag.generalizedTime, "20261122123000.5Z"],
  [tag.generalizedTime, "20261322123000Z"],
  [tag.octetString, "261122123000Z"],
] as const)("RFC 5280 4.1.2.5: tag %d with %s is refused", ([timeTag, text]) => {
  const found = new DerReader(element(timeTag, Buffer.from(text))).any();
  expect(outcome(() => readTime(found))).toBe("X509_TIME");
});

test.for([[-1], [Number.NaN], [253_402_300_800_000]])("time %d cannot be written", ([ms = 0]) => {
  expect(outcome(() => time(ms))).toBe("X509_TIME");
});

test("what is written is read back", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
      const reader = readSequence(sequence(octetString(bytes), unsignedInteger(bytes)));
      expect(hex(reader.element(tag.octetString).content)).toBe(hex(bytes));
      const number = hex(readUnsigned(reader.element(tag.integer).content)).replace(/^(00)+/, "");
      expect(number).toBe(hex(bytes).replace(/^(00)+/, ""));
      reader.end();
    }),
    { numRuns: 60 },
  );
});

test("random bytes make readers throw X509Error and nothing else", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      for (const read of [parseCertificate, readCsr, readSequence]) outcome(() => read(bytes));
      outcome(() => parsePem("CERTIFICATE", Buffer.from(bytes).toString("latin1")));
    }),
  );
});

test("a mutated certificate is read or refused with X509Error, and one spelling has one reading", () => {
  const leaf = makeLeaf(makeAuthority(), { dnsNames: ["web.example.org"] });
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(leaf.length - 1), fc.nat(255)), { minLength: 1, maxLength: 3 }),
      fc.nat(leaf.length),
      (changes, length) => {
        const bent = new Uint8Array(leaf);
        for (const [at, byte] of changes) bent[at] = byte;
        outcome(() => parseCertificate(bent));
        if (length < leaf.length) {
          expect(outcome(() => parseCertificate(leaf.subarray(0, length)))).toBe("X509_DER");
        }
      },
    ),
    { numRuns: 500 },
  );
});
