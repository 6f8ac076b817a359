import fc from "fast-check";
import { expect, test } from "vitest";
import { SvidError } from "../../../src/core/svid/errors.ts";
import { isExactLeaf } from "../../../src/core/svid/exact-leaf.ts";
import { type LintExpectation, lintSvid } from "../../../src/core/svid/lint.ts";
import { readSequence } from "../../../src/core/x509/der-reader.ts";
import { generalName } from "../../../src/core/x509/general-names.ts";
import { svidTemplate } from "../../../src/core/x509/svid-template.ts";
import {
  hour,
  idOf,
  makeAuthority,
  makeKey,
  makeLeaf,
  nextSerial,
  noon,
  type SvidBend,
} from "../../support/ca-world.ts";
import { constrained } from "./hostile-case.ts";

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

test("MEC-01: what is taken at a glance is the template's, and with one byte changed it never is, nor does it pass", () => {
  const written = svidTemplate(root.certificate).toBeSigned(fields);
  expect(isExactLeaf(written, fields)).toBe(true);
  const at = fc.integer({ min: 0, max: written.length - 1 });
  fc.assert(
    fc.property(at, fc.integer({ min: 1, max: 255 }), (place, change) => {
      const bent = Uint8Array.from(written);
      bent[place] = (bent[place] ?? 0) ^ change;
      expect(isExactLeaf(bent, fields)).toBe(false);
      expect(outcome(bent, fields)).not.toBe("ok");
    }),
    { numRuns: 2000 },
  );
});

test.for([
  ["cut short", (tbs: Uint8Array) => tbs.subarray(0, -1)],
  ["with a byte behind", (tbs: Uint8Array) => Buffer.concat([tbs, Uint8Array.of(0)])],
  ["empty", () => new Uint8Array()],
] as const)("bytes %s are not taken at a glance", ([, bend]) => {
  const written = svidTemplate(root.certificate).toBeSigned(fields);
  expect(isExactLeaf(bend(written), fields)).toBe(false);
});

test.for([
  ["a name less", { dnsNames: ["web.example.org"] }],
  ["a name more", { dnsNames: [...fields.dnsNames, "third.example.org"] }],
  ["names in another order", { dnsNames: fields.dnsNames.toReversed() }],
  ["another ID", { id: idOf("/wec") }],
  ["another key", { spki: makeKey().spki }],
  ["another serial", { serial: nextSerial() }],
  ["another authority", { authority: makeAuthority().certificate }],
  ["a second more", { notAfter: fields.notAfter + 1000 }],
] as const)(
  "bytes that were meant with %s are not taken at a glance, and do not pass",
  ([, change]) => {
    const written = svidTemplate(root.certificate).toBeSigned(fields);
    expect(isExactLeaf(written, { ...fields, ...change })).toBe(false);
    expect(outcome(written, { ...fields, ...change })).not.toBe("ok");
  },
);

test("XSVID-20: a CA above that is constrained to other DNS names is looked at, though every byte is the profile's", () => {
  const above = constrained(0, generalName.dns, "inside.example");
  const tbs = tbsOf({ dnsNames: ["web.outside.example"] });
  const change = { dnsNames: ["web.outside.example"] };
  expect(outcome(tbs, change)).toBe("ok");
  const path = [root.certificate, above.certificate];
  expect(outcome(tbs, { ...change, path })).toBe("LINT_NAME_CONSTRAINT");
});
