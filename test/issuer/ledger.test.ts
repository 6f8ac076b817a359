import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { AuditRecord, IssuedSvid } from "../../src/core/envelope/audit-payloads.ts";
import { parseSpiffeId } from "../../src/core/spiffe/spiffe-id.ts";
import { Ledger } from "../../src/issuer/revocation/ledger.ts";
import { segmentCapacity } from "../../src/issuer/revocation/ledger-segment.ts";

const noon = Date.UTC(2026, 10, 22, 12);
const second = 1000;
const node = (name: string) => parseSpiffeId(`spiffe://example.org/herald/node/join_token/${name}`);

function serialOf(number: number): string {
  // As real ones: chance in the last bytes.
  return `40${Math.imul(number, 2_654_435_761 | 0)
    .toString(16)
    .replace("-", "f")
    .padStart(22, "0")}${number.toString(16).padStart(8, "0")}`;
}

function svid(number: number, of: Partial<IssuedSvid> = {}): IssuedSvid {
  return {
    serial: serialOf(number),
    tbsSha256: "0".repeat(64),
    spiffeId: parseSpiffeId("spiffe://example.org/web"),
    entry: "e1",
    revision: 1n,
    notAfter: noon + 3600 * second,
    authority: "a1",
    purpose: { kind: "kept-warm" },
    ...of,
  };
}

function record(
  svids: readonly IssuedSvid[],
  at = noon,
  name = "east",
): Pick<AuditRecord, "at" | "action"> {
  return { at, action: { kind: "svids-issued", node: node(name), svids } };
}

const part = { limit: 1000, from: "", now: noon };

describe("what is alive", () => {
  test("REV-04 is found by serial, entry, node, identity and authority, and by all of them at once", () => {
    const ledger = new Ledger();
    const id = parseSpiffeId("spiffe://example.org/api");
    ledger.take(record([svid(1), svid(2, { entry: "e2" }), svid(3, { authority: "a2" })]), noon);
    ledger.take(record([svid(4, { spiffeId: id })], noon, "west"), noon);
    const serials = (filter: Parameters<Ledger["list"]>[0]): readonly string[] =>
      ledger
        .list(filter, noon)
        .map(({ serial }) => serial)
        .toSorted();
    expect(serials({ entry: "e2" })).toEqual([serialOf(2)]);
    expect(serials({ node: node("west") })).toEqual([serialOf(4)]);
    expect(serials({ spiffeId: id })).toEqual([serialOf(4)]);
    expect(serials({ authority: "a2" })).toEqual([serialOf(3)]);
    expect(serials({ authority: "a2", entry: "e2" })).toEqual([]);
    expect(serials({ node: "nobody" })).toEqual([]);
    expect(ledger.find(serialOf(2), noon)).toMatchObject({ entry: "e2", kind: "kept-warm" });
    expect(ledger.find("ff".repeat(16), noon)).toBeUndefined();
  });

  test("REV-04 it agrees with a plain list, whatever is issued, read back again, ends and is swept", () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant("issue" as const), ttl: fc.integer({ min: 1, max: 400 }) }),
      fc.record({ kind: fc.constant("again" as const), which: fc.nat(20) }),
      fc.record({ kind: fc.constant("wait" as const), seconds: fc.integer({ min: 1, max: 120 }) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const ledger = new Ledger();
        const records: ReturnType<typeof record>[] = [];
        let now = noon;
        for (const one of steps) {
          if (one.kind === "wait") {
            now += one.seconds * second;
            ledger.sweep(now);
          } else if (one.kind === "issue") {
            const made = record([svid(records.length, { notAfter: now + one.ttl * second })], now);
            records.push(made);
            ledger.take(made, now);
          } else {
            const again = records[one.which];
            if (again !== undefined) ledger.takeAgain(again, now);
          }
          const alive = records.flatMap(({ action }) =>
            action.kind === "svids-issued"
              ? action.svids.filter(({ notAfter }) => notAfter >= now)
              : [],
          );
          const serials = (list: readonly { readonly serial: string }[]) =>
            list.map(({ serial }) => serial).toSorted();
          expect(serials(ledger.list({}, now))).toEqual(serials(alive));
          for (const { serial } of alive) expect(ledger.find(serial, now)?.serial).toBe(serial);
        }
      }),
      { numRuns: 60 },
    );
  });

  test("REV-04 pages hold everything once, newest first, whatever their size", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 7 }),
        fc.array(fc.nat(9), { maxLength: 30 }),
        (limit, ages) => {
          const ledger = new Ledger();
          for (const [at, age] of ages.entries())
            ledger.take(record([svid(at)], noon - age * second), noon);
          const seen: { readonly serial: string; readonly issuedAt: number }[] = [];
          let from: string | undefined = "";
          while (from !== undefined) {
            const page = ledger.page({}, { limit, from, now: noon });
            expect(page.svids.length).toBeLessThanOrEqual(limit);
            seen.push(...page.svids);
            from = page.next;
          }
          expect(new Set(seen.map(({ serial }) => serial)).size).toBe(ages.length);
          expect(seen).toHaveLength(ages.length);
          const times = seen.map(({ issuedAt }) => issuedAt);
          expect(times).toEqual(times.toSorted((a, b) => b - a));
        },
      ),
      { numRuns: 60 },
    );
  });

  test("REV-04 short-lived ones leave nothing behind, even among a few that live long", () => {
    const ledger = new Ledger();
    const many = 4 * segmentCapacity;
    for (let number = 0; number < many; number += 1) {
      const ttl = number % 1000 === 0 ? 86_400 : 60;
      const id = parseSpiffeId(`spiffe://example.org/w${number}`);
      ledger.take(record([svid(number, { notAfter: noon + ttl * second, spiffeId: id })]), noon);
    }
    expect(ledger.size).toBe(many);
    for (let minute = 2; minute < 12; minute += 1) ledger.sweep(noon + minute * 60 * second);
    const later = noon + 12 * 60 * second;
    expect(ledger.list({}, later)).toHaveLength(Math.ceil(many / 1000));
    expect(ledger.size).toBeLessThan(segmentCapacity);
    expect(ledger.page({}, { ...part, now: later }).svids).toHaveLength(Math.ceil(many / 1000));
    expect(ledger.find(serialOf(1000), later)?.spiffeId).toBe("spiffe://example.org/w1000");
  });
});
