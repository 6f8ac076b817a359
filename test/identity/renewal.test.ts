import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type HeldSvid, type PlanInput, plan, renewAt } from "../../src/identity/renewal.ts";
import { entry as sample } from "../core/envelope/support/samples.ts";

const entryOf = (id: string, revision = 1n) => ({ ...sample, id, revision });

const heldOf = (entry: string, bend: Partial<HeldSvid> = {}): HeldSvid => ({
  entry,
  revision: 1n,
  authority: "a1",
  spread: 0.5,
  notBefore: 0,
  notAfter: 1000,
  ...bend,
});

function planOf(bend: Partial<PlanInput> & { readonly holds?: readonly HeldSvid[] }) {
  const { holds = [], ...rest } = bend;
  const planned = plan({
    entries: [entryOf("web")],
    held: new Map(holds.map((held) => [held.entry, held])),
    activeAuthority: "a1",
    activeSince: 0,
    reissueSpreadMs: 2000,
    now: 0,
    ...rest,
  });
  return { ...planned, due: planned.due.map((one) => one.id) };
}

const never = Number.POSITIVE_INFINITY;

test.for([
  ["nothing is held", { holds: [] }, { due: ["web"], gone: [], next: never }],
  ["nothing is wanted", { entries: [] }, { due: [], gone: [], next: never }],
  ["it is young", { holds: [heldOf("web")], now: 499 }, { due: [], gone: [], next: 500 }],
  [
    "it is half through",
    { holds: [heldOf("web")], now: 500 },
    { due: ["web"], gone: [], next: never },
  ],
  [
    "chance says early",
    { holds: [heldOf("web", { spread: 0 })], now: 400 },
    { due: ["web"], gone: [], next: never },
  ],
  [
    "chance says late",
    { holds: [heldOf("web", { spread: 0.999 })], now: 599 },
    { due: [], gone: [], next: 599.8 },
  ],
  [
    "it has expired",
    { holds: [heldOf("web")], now: 2000 },
    { due: ["web"], gone: [], next: never },
  ],
  [
    "the entry changed",
    { entries: [entryOf("web", 2n)], holds: [heldOf("web")] },
    { due: ["web"], gone: [], next: never },
  ],
  [
    "the entry is gone",
    { entries: [], holds: [heldOf("web")] },
    { due: [], gone: ["web"], next: never },
  ],
  [
    "another authority is unknown",
    { holds: [heldOf("web")], activeAuthority: "" },
    { due: [], gone: [], next: 500 },
  ],
] as const)("plan when %s", ([, bend, expected]) => {
  expect(planOf(bend)).toEqual(expected);
});

describe("after a change of authority", () => {
  const long = { notAfter: 3_600_000 };
  const change = { activeAuthority: "a2", activeSince: 10_000 };

  test.for([
    [0, 10_000],
    [0.25, 10_500],
    [0.999, 11_998],
  ] as const)("an SVID with chance %f is due at %i", ([spread, at]) => {
    const holds = [heldOf("web", { ...long, spread })];
    expect(planOf({ ...change, holds, now: at - 1 })).toMatchObject({ due: [], next: at });
    expect(planOf({ ...change, holds, now: at }).due).toEqual(["web"]);
  });

  test("what is due anyway does not wait for it", () => {
    const holds = [heldOf("web", { notAfter: 1000, spread: 0.9 })];
    expect(planOf({ ...change, activeSince: 581, holds, now: 581 }).due).toEqual(["web"]);
  });
});

test("the most urgent first: what is missing, then what ends first", () => {
  const entries = ["late", "soon", "none", "gone"].map((id) => entryOf(id));
  const holds = [
    heldOf("late", { notAfter: 1500 }),
    heldOf("soon", { notAfter: 1100 }),
    heldOf("gone", { notAfter: 900 }),
  ];
  expect(planOf({ entries, holds, now: 1000 }).due).toEqual(["none", "gone", "soon", "late"]);
});

describe("properties", () => {
  const spread = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
  const held = fc
    .record({
      entry: fc.constantFrom("a", "b", "c", "d", "e"),
      revision: fc.constantFrom(1n, 2n),
      authority: fc.constantFrom("a1", "a2"),
      spread,
      notBefore: fc.nat({ max: 10_000 }),
      length: fc.integer({ min: 1000, max: 10_000 }),
    })
    .map(({ length, ...rest }): HeldSvid => ({ ...rest, notAfter: rest.notBefore + length }));
  const input: fc.Arbitrary<PlanInput> = fc.record({
    entries: fc
      .uniqueArray(fc.constantFrom("a", "b", "c", "d", "e"))
      .map((ids) => ids.map((id) => entryOf(id))),
    held: fc
      .array(held)
      .map((all): ReadonlyMap<string, HeldSvid> => new Map(all.map((one) => [one.entry, one]))),
    activeAuthority: fc.constantFrom("", "a1", "a2"),
    activeSince: fc.nat({ max: 20_000 }),
    reissueSpreadMs: fc.constantFrom(0, 2000),
    now: fc.nat({ max: 25_000 }),
  });

  test("ISTIO-08 renewal is at half of life, give or take a tenth", () => {
    fc.assert(
      fc.property(held, ({ notBefore, notAfter, spread: chance }) => {
        const at = renewAt({ notBefore, notAfter }, chance);
        const length = notAfter - notBefore;
        expect(at).toBeGreaterThanOrEqual(notBefore + 0.4 * length - 1e-6);
        expect(at).toBeLessThan(notBefore + 0.6 * length + 1e-6);
      }),
    );
  });

  test("nothing is due before two fifths of its life, unless its entry or authority changed", () => {
    fc.assert(
      fc.property(input, (given) => {
        for (const { id, revision } of plan(given).due) {
          const one = given.held.get(id);
          if (one === undefined || one.revision !== revision) continue;
          if (given.activeAuthority !== "" && one.authority !== given.activeAuthority) continue;
          const early = one.notBefore + 0.4 * (one.notAfter - one.notBefore);
          expect(given.now).toBeGreaterThanOrEqual(early - 1e-6);
        }
      }),
    );
  });

  test("every entry is due or has a time to come; what is held and not wanted is gone", () => {
    fc.assert(
      fc.property(input, (given) => {
        const { due, gone, next } = plan(given);
        const wanted = new Set(given.entries.map((one) => one.id));
        expect(gone.toSorted()).toEqual(
          [...given.held.keys()].filter((id) => !wanted.has(id)).toSorted(),
        );
        expect(next > given.now).toBe(true);
        if (due.length < given.entries.length) expect(Number.isFinite(next)).toBe(true);
        // At that time something more is due.
        if (Number.isFinite(next))
          expect(plan({ ...given, now: next }).due.length).toBeGreaterThan(due.length);
      }),
    );
  });

  test("what is due ends later and later", () => {
    fc.assert(
      fc.property(input, (given) => {
        const ends = plan(given).due.map(({ id }) => given.held.get(id)?.notAfter ?? 0);
        expect(ends).toEqual(ends.toSorted((x, y) => x - y));
      }),
    );
  });

  test("a change of authority is over within the spread, and begins when it is known", () => {
    fc.assert(
      fc.property(input, (given) => {
        const changed = { ...given, activeAuthority: "a3" };
        const late = { ...changed, now: changed.activeSince + changed.reissueSpreadMs };
        expect(plan(late).due).toHaveLength(given.entries.length);
      }),
    );
  });
});
