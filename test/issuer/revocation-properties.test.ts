import fc from "fast-check";
import { expect, test } from "vitest";
import type { Entry } from "../../src/core/policy/entry.ts";
import type { Asker } from "../support/simulation-asker.ts";
import { type Office, openOffice, operator } from "./support/office.ts";
import { bundleIsCovered, bySerial, issued, publishedCrls, revoke } from "./support/revocations.ts";

const hour = 3_600_000;

/** What may happen to an issuer, in any order. */
type Step =
  | { readonly kind: "issue" | "rotate" | "restart" | "outage" }
  | { readonly kind: "revoke"; readonly which: number }
  | { readonly kind: "wait"; readonly minutes: number }
  | {
      readonly kind: "crash";
      readonly which: number;
      readonly append: number;
      readonly kept: number;
    };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: fc.constant({ kind: "issue" as const }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("revoke" as const), which: fc.nat(50) }) },
  {
    weight: 2,
    arbitrary: fc.constantFrom({ kind: "rotate" as const }, { kind: "restart" as const }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: "outage" as const }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("wait" as const),
      minutes: fc.integer({ min: 1, max: 25 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("crash" as const),
      which: fc.nat(50),
      append: fc.integer({ min: 1, max: 3 }),
      kept: fc.nat(2),
    }),
  },
);

/** An office whose orders are remembered. */
class World {
  /** Serials that the issuer said are revoked, and when each ends. */
  readonly acknowledged = new Map<string, number>();
  readonly #office: Office;
  readonly #node: Asker;
  readonly #entry: Entry;
  readonly #alive: { readonly serial: string; readonly until: number }[] = [];
  #numbers = new Map<string, bigint>();

  constructor(office: Office, node: Asker, entry: Entry) {
    this.#office = office;
    this.#node = node;
    this.#entry = entry;
  }

  async take(step: Step): Promise<void> {
    const { host, clock } = this.#office;
    switch (step.kind) {
      case "issue": {
        const until = clock.now() + hour - 1000;
        for (const serial of await issued(this.#node, this.#entry, 2))
          this.#alive.push({ serial, until });
        return;
      }
      case "revoke":
        await this.#revoke(step.which);
        return;
      case "rotate":
        // One that is under way is as good.
        await host.issuer.rotate(operator).catch(() => undefined);
        return;
      case "restart":
        await host.restart();
        return;
      case "outage":
        host.bus.faults.destroy();
        await host.issuer.onBusBack();
        return;
      case "wait":
        await clock.advance(step.minutes * 60_000);
        return;
      case "crash":
        host.journal.crashAt(step, () => host.kill());
        void this.#revoke(step.which).catch(() => undefined);
        await clock.advance(10);
        await host.restart();
        return;
    }
  }

  /** What must hold whenever anybody looks. */
  async judge(): Promise<void> {
    const { clock, host } = this.#office;
    const crls = await publishedCrls(this.#office);
    const refused = new Set(
      [...crls.values()].flatMap(({ revoked }) => revoked.map((one) => one.serial)),
    );
    for (const [serial, until] of this.acknowledged)
      if (until > clock.now()) expect(refused, serial).toContain(serial);
    if (crls.size > 0) {
      const trusted = host.issuer.authorities.trusted().map(({ authority }) => authority);
      expect([...crls.keys()].toSorted()).toEqual(trusted.toSorted());
    }
    expect(await bundleIsCovered(this.#office)).toBe(true);
    for (const [authority, { number, thisUpdate, nextUpdate }] of crls) {
      expect(number).toBeGreaterThanOrEqual(this.#numbers.get(authority) ?? 0n);
      expect(thisUpdate).toBeLessThan(clock.now());
      expect(nextUpdate).toBeGreaterThan(clock.now());
    }
    this.#numbers = new Map([...crls].map(([authority, { number }]) => [authority, number]));
  }

  async #revoke(which: number): Promise<void> {
    const now = this.#office.clock.now();
    const alive = this.#alive.filter(({ until }) => until > now);
    const chosen = alive[which % Math.max(1, alive.length)];
    if (chosen === undefined) return;
    await revoke(this.#office, bySerial(chosen.serial));
    this.acknowledged.set(chosen.serial, chosen.until);
  }
}

test("REV-04 a serial acknowledged as revoked is in every later CRL until its end, through rotations, crashes, restarts and a destroyed store", {
  timeout: 120_000,
}, async () => {
  let revocations = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 4, maxLength: 16 }), async (steps) => {
      const office = await openOffice();
      const world = new World(office, await office.node("east"), await office.entry("/web"));
      for (const one of [{ kind: "issue" } as const, ...steps]) {
        await world.take(one);
        await world.judge();
      }
      revocations += world.acknowledged.size;
    }),
    { numRuns: 25 },
  );
  expect(revocations).toBeGreaterThan(10);
});
