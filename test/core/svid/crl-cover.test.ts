import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type CrlFacts,
  coverOf,
  intermediatesBelow,
  proveCrl,
} from "../../../src/core/svid/crl-cover.ts";
import { X509Error } from "../../../src/core/x509/errors.ts";
import { hour, makeAuthority, noon } from "../../support/ca-world.ts";
import { type CrlBend, readCrl } from "../../support/crl-world.ts";

const second = 1000;
const one = makeAuthority();
const two = makeAuthority();
const below = makeAuthority({ parent: one });
const expired = makeAuthority({ notBefore: noon - 3 * hour, notAfter: noon - hour });

function cover(facts: Partial<CrlFacts>): ReturnType<typeof coverOf> {
  return coverOf({
    anchors: [one.certificate, two.certificate],
    intermediates: [],
    active: "",
    crls: [readCrl(one), readCrl(two)],
    stale: "strip",
    now: noon,
    ...facts,
  });
}

describe("EF-21 which CRLs may be shown to Envoy", () => {
  test("all, when every authority has one; in the bundle's order", () => {
    const [first, second_] = [readCrl(one), readCrl(two)];
    expect(cover({ crls: [second_, first] })).toMatchObject({
      crls: [first, second_],
      gap: undefined,
      ends: noon + 24 * hour,
    });
  });

  test("none, when nothing is revoked", () => {
    expect(cover({ crls: [] })).toEqual({
      crls: [],
      gap: undefined,
      ageing: [],
      ends: undefined,
      nextLook: Number.POSITIVE_INFINITY,
    });
  });

  test("none, when a single live authority of the bundle lacks its CRL: its peers would all be refused", () => {
    expect(cover({ crls: [readCrl(one)] })).toMatchObject({
      crls: [],
      gap: { kind: "missing", authority: two.certificate.subjectKeyId },
    });
  });

  test("an authority that has expired needs none", () => {
    const anchors = [one.certificate, expired.certificate];
    expect(cover({ anchors, crls: [readCrl(one)] })).toMatchObject({ gap: undefined });
    const crls = [readCrl(one), readCrl(expired)];
    expect(cover({ anchors, crls }).crls.length).toBe(1);
  });

  test("none, when an authority below the anchors signs and has no CRL, seen here or not", () => {
    const authority = below.certificate.subjectKeyId ?? "";
    const gap = { kind: "missing", authority };
    const all = [readCrl(one), readCrl(two), readCrl(below)];
    expect(cover({ intermediates: [below.certificate] })).toMatchObject({ crls: [], gap });
    expect(cover({ active: authority })).toMatchObject({ crls: [], gap });
    const seen = { active: authority, intermediates: [below.certificate] };
    expect(cover({ ...seen, crls: all }).crls.length).toBe(3);
    // The root's own is needed too, which Herald can publish only where it holds the root's key.
    expect(cover({ ...seen, crls: all.slice(1) })).toMatchObject({ gap: { kind: "missing" } });
  });

  test("an authority that is in the bundle twice needs one", () => {
    const anchors = [one.certificate, two.certificate, one.certificate];
    expect(cover({ anchors }).crls.length).toBe(2);
  });

  test("a CRL with an authority's key and another name is not that authority's", () => {
    const crls = [readCrl(one, { issuer: two.certificate.subject }), readCrl(two)];
    expect(cover({ crls })).toMatchObject({ crls: [], gap: { kind: "missing" } });
  });

  test("none before thisUpdate, whatever the policy: Envoy would refuse everybody", () => {
    const crls = [readCrl(one, { thisUpdate: noon + hour }), readCrl(two)];
    for (const stale of ["strip", "refuse"] as const)
      expect(cover({ crls, stale })).toMatchObject({
        crls: [],
        gap: { kind: "early" },
        nextLook: noon + hour,
      });
  });

  test("strip: taken off ten seconds before nextUpdate, so that Envoy never sees the end", () => {
    const crls = [readCrl(one, { nextUpdate: noon + hour }), readCrl(two)];
    const at = (now: number) => cover({ crls, now });
    expect(at(noon + hour - 11 * second).gap).toBeUndefined();
    expect(at(noon + hour - 10 * second)).toMatchObject({ crls: [], gap: { kind: "stale" } });
  });

  test("refuse: left in place for good", () => {
    const crls = [readCrl(one, { nextUpdate: noon + hour }), readCrl(two)];
    expect(cover({ crls, stale: "refuse", now: noon + 2 * hour }).crls.length).toBe(2);
  });

  test("the last third of a CRL's life is told", () => {
    const crls = [readCrl(one, { thisUpdate: noon, nextUpdate: noon + 3 * hour }), readCrl(two)];
    const ageing = (now: number): readonly string[] => cover({ crls, now }).ageing;
    expect(ageing(noon + 2 * hour - second)).toEqual([]);
    expect(ageing(noon + 2 * hour)).toEqual([one.certificate.subjectKeyId]);
  });
});

describe("whose a CRL is", () => {
  const authorities = [one.certificate, two.certificate];
  const codeOf = (bend: CrlBend): string | undefined => {
    try {
      proveCrl(readCrl(one, bend), authorities);
      return undefined;
    } catch (thrown) {
      return thrown instanceof X509Error ? thrown.code : "";
    }
  };

  test("the authority that signed it, found by key id", () => {
    expect(proveCrl(readCrl(two), authorities)).toBe(two.certificate);
    expect(proveCrl(readCrl(makeAuthority()), authorities)).toBeUndefined();
  });

  test("EF-26 one by another key, or under another name, is refused", () => {
    expect(codeOf({ key: two.key })).toBe("X509_CRL_FOREIGN");
    expect(codeOf({ issuer: two.certificate.subject })).toBe("X509_CRL_FOREIGN");
  });

  test("authorities below the anchors are those whose chain ends in one", () => {
    const foreign = makeAuthority({ parent: makeAuthority() });
    const deep = makeAuthority({ parent: below });
    const given = [deep, foreign, below, one].map((authority) => authority.certificate);
    expect(intermediatesBelow(authorities, given, noon)).toEqual([
      deep.certificate,
      below.certificate,
    ]);
    expect(intermediatesBelow(authorities, [deep.certificate], noon)).toEqual([]);
    expect(intermediatesBelow(authorities, given, noon + 48 * hour)).toEqual([]);
  });
});

const moment = (from: number, to: number): fc.Arbitrary<number> =>
  fc.integer({ min: from, max: to }).map((seconds) => noon + seconds * second);
const world = [one, two, expired, below];
const someCrl = fc
  .record({ from: moment(-7200, 600), life: fc.integer({ min: 1, max: 7200 }) })
  .map(({ from, life }) => ({ thisUpdate: from, nextUpdate: from + life * second }));
const anyFacts: fc.Arbitrary<CrlFacts> = fc
  .record({
    dates: fc.tuple(...world.map(() => fc.option(someCrl, { nil: undefined }))),
    anchors: fc.subarray([one, two, expired]),
    intermediates: fc.subarray([below]),
    active: fc.constantFrom("", ...world.map((it) => it.certificate.subjectKeyId ?? "")),
    stale: fc.constantFrom("strip" as const, "refuse" as const),
    now: moment(-7200, 10_000),
  })
  .map(({ dates, anchors, intermediates, ...rest }) => ({
    ...rest,
    anchors: anchors.map((it) => it.certificate),
    intermediates: intermediates.map((it) => it.certificate),
    crls: dates.flatMap((range, index) => {
      const by = world[index];
      return range === undefined || by === undefined ? [] : [readCrl(by, range)];
    }),
  }));

describe("for every set of authorities and CRLs", () => {
  test("EF-21 whatever is shown, no live authority is without a CRL in force, unless the operator chose refusal", () => {
    fc.assert(
      fc.property(anyFacts, (facts) => {
        const { crls: shown, gap } = coverOf(facts);
        expect(gap === undefined || shown.length === 0).toBe(true);
        if (shown.length === 0) return;
        const { anchors, intermediates, now, stale } = facts;
        const live = [...anchors, ...intermediates].filter((it) => now < it.notAfter + second);
        for (const authority of live) {
          const theirs = facts.crls.filter(
            (crl) => shown.includes(crl) && crl.authorityKeyId === authority.subjectKeyId,
          );
          expect(theirs.length).toBe(1);
          for (const crl of theirs) {
            expect(crl.thisUpdate).toBeLessThanOrEqual(now);
            if (stale === "strip") expect(crl.nextUpdate).toBeGreaterThan(now);
          }
        }
      }),
      { numRuns: 300 },
    );
  });

  test("nothing changes between two looks, so a timer misses nothing", () => {
    fc.assert(
      fc.property(anyFacts, fc.double({ min: 0, max: 1, noNaN: true }), (facts, share) => {
        const first = coverOf(facts);
        const end = Math.min(first.nextLook, facts.now + 24 * hour);
        const between = facts.now + Math.floor((end - 1 - facts.now) * share);
        const { crls, gap, ageing } = coverOf({ ...facts, now: Math.max(between, facts.now) });
        expect({ crls, gap, ageing }).toEqual({
          crls: first.crls,
          gap: first.gap,
          ageing: first.ageing,
        });
      }),
      { numRuns: 300 },
    );
  });
});
