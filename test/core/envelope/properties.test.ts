import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseCompactJson, printCompactJson } from "../../../src/core/envelope/compact-json.ts";
import { sealEnvelope } from "../../../src/core/envelope/envelope.ts";
import type { Kind } from "../../../src/core/envelope/kinds.ts";
import {
  compareVersions,
  formatVersion,
  spiffeSequence,
  zeroVersion,
} from "../../../src/core/envelope/version.ts";
import { version } from "./support/fields.ts";
import { signerFor } from "./support/keys.ts";
import { openAs, outcomeOf } from "./support/open.ts";
import { randomPayloads } from "./support/random-payloads.ts";
import { allKinds } from "./support/samples.ts";

async function roundTrips<K extends Kind>(kind: K): Promise<void> {
  await fc.assert(
    fc.asyncProperty(randomPayloads[kind], async (payload) => {
      const { bytes, digest } = await sealEnvelope(kind, payload, signerFor(kind));
      const opened = openAs(bytes, kind);
      expect(opened.payload).toEqual(payload);
      expect(opened).toMatchObject({ kind, digest, keyId: signerFor(kind).keyId, bytes });
    }),
    { numRuns: 60 },
  );
}

test.for(allKinds)("what is sealed as a %s is what is opened", async (kind) => {
  await roundTrips(kind);
});

describe("compact JSON", () => {
  const json = fc
    .jsonValue({ maxDepth: 4, stringUnit: "binary" })
    .filter((value) => !JSON.stringify(value).includes('"__proto__":'));

  test("what is printed is parsed, and prints as the same bytes", () => {
    fc.assert(
      fc.property(json, (value) => {
        const printed = printCompactJson(value);
        expect(printCompactJson(parseCompactJson(printed))).toEqual(printed);
      }),
    );
  });

  test("of all spellings one is accepted", () => {
    fc.assert(
      fc.property(json, fc.integer({ min: 1, max: 4 }), (value, indent) => {
        const compact = JSON.stringify(value);
        const wide = JSON.stringify(value, null, indent);
        const outcome = outcomeOf(() => parseCompactJson(Buffer.from(wide)));
        expect(outcome).toBe(wide === compact ? "ok" : "PAYLOAD_NOT_COMPACT");
      }),
    );
  });

  test("any bytes are refused, or print as themselves", () => {
    const nearly = fc
      .tuple(fc.uint8Array({ maxLength: 6 }), fc.boolean())
      .map(([bytes, quoted]) =>
        quoted ? Buffer.concat([Buffer.from('"'), bytes, Buffer.from('"')]) : Buffer.from(bytes),
      );
    fc.assert(
      fc.property(nearly, (bytes) => {
        if (outcomeOf(() => parseCompactJson(bytes)) === "ok")
          expect(printCompactJson(parseCompactJson(bytes))).toEqual(bytes);
      }),
      { numRuns: 2000 },
    );
  });

  test.for([
    ["ff", "a byte that begins nothing"],
    ["c0af", "an overlong slash"],
    ["f09f92", "three of four bytes, which decode to one U+FFFD of three bytes"],
    ["eda080", "half a surrogate pair"],
    ["f4908080", "a code point above U+10FFFF"],
  ] as const)("bytes %s are refused: %s", ([hex]) => {
    const bytes = Buffer.concat([Buffer.from('"'), Buffer.from(hex, "hex"), Buffer.from('"')]);
    expect(outcomeOf(() => parseCompactJson(bytes))).toBe("PAYLOAD_NOT_COMPACT");
  });

  test("nesting beyond reason is refused or parsed, and breaks nothing", () => {
    const deep = Buffer.from("[".repeat(100_000) + "]".repeat(100_000));
    expect(["ok", "PAYLOAD_NOT_COMPACT"]).toContain(outcomeOf(() => parseCompactJson(deep)));
  });

  test("__proto__ is refused as a member, at any depth, and is fine as a value", () => {
    for (const hostile of ['{"__proto__":1}', '[{"a":{"__proto__":{}}}]'])
      expect(outcomeOf(() => parseCompactJson(Buffer.from(hostile)))).toBe("PAYLOAD_NOT_COMPACT");
    for (const fine of ['["__proto__"]', '{"a":"\\"__proto__\\":"}'])
      expect(outcomeOf(() => parseCompactJson(Buffer.from(fine)))).toBe("ok");
  });
});

describe("versions", () => {
  test("their order is total", () => {
    fc.assert(
      fc.property(version, version, version, (a, b, c) => {
        const [low, middle, high] = [a, b, c].toSorted(compareVersions);
        if (low === undefined || middle === undefined || high === undefined) return;
        expect(compareVersions(low, high)).toBeLessThanOrEqual(0);
        expect(Math.sign(compareVersions(a, b))).toBe(0 - Math.sign(compareVersions(b, a)));
        expect(compareVersions(a, b) === 0).toBe(formatVersion(a) === formatVersion(b));
        expect(compareVersions(zeroVersion, a)).toBeLessThanOrEqual(0);
      }),
    );
  });

  test("epochs outrank terms, terms outrank seqs", () => {
    fc.assert(
      fc.property(version, version, (a, b) => {
        const lower = { ...a, epoch: a.epoch / 2n };
        if (lower.epoch < a.epoch)
          expect(compareVersions(lower, { ...b, epoch: a.epoch })).toBe(-1);
        const sooner = { ...a, term: a.term / 2n };
        if (sooner.term < a.term)
          expect(compareVersions(sooner, { ...b, epoch: a.epoch, term: a.term })).toBe(-1);
      }),
    );
  });

  test("BDL-03 spiffe_sequence grows with seq, and over epochs", () => {
    const seq = fc.bigInt({ min: 0n, max: 2n ** 32n - 1n });
    fc.assert(
      fc.property(version, version, fc.tuple(seq, seq), (a, b, [before, after]) => {
        const later = { epoch: a.epoch + 1n, term: b.term, seq: after };
        expect(spiffeSequence(later)).toBeGreaterThan(spiffeSequence({ ...a, seq: before }));
        expect(spiffeSequence({ ...a, seq: before + 1n })).toBeGreaterThan(
          spiffeSequence({ ...a, seq: before }),
        );
      }),
    );
  });
});
