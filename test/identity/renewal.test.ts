import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type HeldSvid,
  isOfOther,
  type PlanInput,
  plan,
  renewAt,
} from "../../src/identity/renewal.ts";
import { entry as sample } from "../core/envelope/support/samples.ts";

const entryOf = (id: string, revision = 1n) => ({ ...sample, id, revision });

const second = 1000;
const hundred = 100 * second;

const heldOf = (entry: string, bend: Partial<HeldSvid> = {}): HeldSvid => ({
  entry,
  revision: 1n,
  authority: "a1",
  askedUnder: "",
  receivedAt: 0,
  spread: 0.5,
  notBefore: 0,
  notAfter: hundred,
  ...bend,
});

function planOf(bend: Partial<PlanInput> & { readonly holds?: readonly HeldSvid[] }) {
  const { holds = [], ...rest } = bend;
  const planned = plan({
    entries: [entryOf("web")],
    held: new Map(holds.map((held) => [held.entry, held])),
    activeAuthority: "a1",
    tainted: [],
    activeSince: 0,
    reissueSpreadMs: 2000,
    now: 0,
    ...rest,
  });
  return { ...planned, due: planned.due.map((one) => one.id) };
}

const never = Number.POSITIVE_INFINITY;

test.for<readonly [string, Parameters<typeof planOf>[0], ReturnType<typeof planOf>]>([
  ["nothing is held", {}, { due: ["web"], gone: [], next: never }],
  ["nothing is wanted", { entries: [] }, { due: [], gone: [], next: never }],
  ["it is young", { holds: [heldOf("web")], now: 49_999 }, { due: [], gone: [], next: 50_000 }],
  [
    "it is half through",
    { holds: [heldOf("web")], now: 50_000 },
    { due: ["web"], gone: [], next: never },
  ],
  [
    "chance says early",
    { holds: [heldOf("web", { spread: 0 })], now: 40_000 },
    { due: ["web"], gone: [], next: never },
  ],
  [
    "chance says late",
    { holds: [heldOf("web", { spread: 0.9 })], now: 57_999 },
    { due: [], gone: [], next: 58_000 },
  ],
  [
    "it came late in its life",
    { holds: [heldOf("web", { receivedAt: 80_000 })], now: 80_000 },
    { due: [], gone: [], next: 90_000 },
  ],
  [
    "it came this very moment, short-lived",
    { holds: [heldOf("web", { notAfter: 100 })], now: 100 },
    { due: [], gone: [], next: second },
  ],
  [
    "it has expired",
    { holds: [heldOf("web")], now: 200_000 },
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
    { due: [], gone: [], next: 50_000 },
  ],
  [
    "the issuer was ahead of this node",
    { holds: [heldOf("web", { authority: "a2", askedUnder: "a1" })] },
    { due: [], gone: [], next: 50_000 },
  ],
])("plan when %s", ([, bend, expected]) => {
  const planned = planOf(bend);
  expect({ ...planned, next: Math.round(planned.next) }).toEqual(expected);
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

  test("what a tainted one signed does not wait for its turn, the soonest to end goes first", () => {
    const holds = [
      heldOf("late", { ...long, spread: 0.9 }),
      heldOf("soon", { notAfter: 3_000_000, spread: 0.9 }),
    ];
    const entries = [entryOf("late"), entryOf("soon")];
    const tainted = { ...change, entries, holds, now: 10_000, tainted: ["a1"] };
    expect(planOf(tainted).due).toEqual(["soon", "late"]);
    expect(planOf({ ...tainted, tainted: ["a0"] }).due).toEqual([]);
  });

  test("an issuer that signs with a tainted one all the same is not asked without end", () => {
    const holds = [heldOf("web", { ...long, askedUnder: "a2", spread: 0.9 })];
    expect(planOf({ ...change, holds, now: 10_000, tainted: ["a1"] }).due).toEqual([]);
  });

  test("what is due anyway does not wait for it", () => {
    const holds = [heldOf("web", { spread: 0.9 })];
    expect(planOf({ ...change, activeSince: 58_001, holds, now: 58_001 }).due).toEqual(["web"]);
  });
});

test("the most urgent first: what is missing, then what ends first", () => {
  const entries = ["late", "soon", "none", "gone"].map((id) => entryOf(id));
  const holds = [
    heldOf("late", { notAfter: 150_000 }),
    heldOf("soon", { notAfter: 110_000 }),
    heldOf("gone", { notAfter: 90_000 }),
  ];
  expect(planOf({ entries, holds, now: hundred }).due).toEqual(["none", "gone", "soon", "late"]);
});

describe("properties", () => {
  const spread = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
  const held = fc
    .record({
      entry: fc.constantFrom("a", "b", "c", "d", "e"),
      revision: fc.constantFrom(1n, 2n),
      authority: fc.constantFrom("a1", "a2"),
      askedUnder: fc.constantFrom("", "a1", "a2"),
      age: fc.nat({ max: 100_000 }),
      spread,
      notBefore: fc.nat({ max: hundred }),
      length: fc.integer({ min: 10_000, max: hundred }),
    })
    .map(
      ({ length, age, ...rest }): HeldSvid => ({
        ...rest,
        notAfter: rest.notBefore + length,
        receivedAt: rest.notBefore + age,
      }),
    );
  const input: fc.Arbitrary<PlanInput> = fc.record({
    entries: fc
      .uniqueArray(fc.constantFrom("a", "b", "c", "d", "e"))
      .map((ids) => ids.map((id) => entryOf(id))),
    held: fc
      .array(held)
      .map((all): ReadonlyMap<string, HeldSvid> => new Map(all.map((one) => [one.entry, one]))),
    activeAuthority: fc.constantFrom("", "a1", "a2"),
    tainted: fc.subarray(["a1", "a2"]),
    activeSince: fc.nat({ max: 2 * hundred }),
    reissueSpreadMs: fc.constantFrom(0, 2000),
    now: fc.nat({ max: 3 * hundred }),
  });

  /** Two fifths, and three, of what was left of its life when it came; never sooner than a second after that. */
  function bounds({ notBefore, notAfter, receivedAt }: HeldSvid): readonly [number, number] {
    const from = Math.min(Math.max(notBefore, receivedAt), notAfter);
    const least = receivedAt + second;
    return [
      Math.max(from + 0.4 * (notAfter - from), least),
      Math.max(from + 0.6 * (notAfter - from), least),
    ];
  }

  test("ISTIO-08 renewal is at half of what is left of its life, give or take a tenth", () => {
    fc.assert(
      fc.property(held, (one) => {
        const [early, late] = bounds(one);
        const at = renewAt(one, one.spread);
        expect(at).toBeGreaterThanOrEqual(early - 1e-6);
        expect(at).toBeLessThanOrEqual(late + 1e-6);
      }),
    );
  });

  test("nothing is due before two fifths of that, unless its entry or authority changed", () => {
    fc.assert(
      fc.property(input, (given) => {
        for (const { id, revision } of plan(given).due) {
          const one = given.held.get(id);
          if (one === undefined || one.revision !== revision) continue;
          if (isOfOther(one, given.activeAuthority)) continue;
          expect(given.now).toBeGreaterThanOrEqual(bounds(one)[0] - 1e-6);
        }
      }),
    );
  });

  test("an authority that was known when it was asked for is no other", () => {
    fc.assert(
      fc.property(held, fc.constantFrom("", "a1", "a2", "a3"), (one, active) => {
        const expected = active !== "" && one.authority !== active && one.askedUnder !== active;
        expect(isOfOther(one, active)).toBe(expected);
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
        const since = [...given.held.values()].map((one) => one.receivedAt);
        const late = Math.max(changed.activeSince, ...since) + changed.reissueSpreadMs;
        expect(plan({ ...changed, now: late }).due).toHaveLength(given.entries.length);
      }),
    );
  });
});
