import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FairQueue, type Waiting } from "../../src/issuer/door/fair-queue.ts";

const quantum = 64;
const roomy = { mostWaiting: 1000, mostCost: 10_000, quantum };

function drain<T>(queue: FairQueue<T>): readonly Waiting<T>[] {
  const served: Waiting<T>[] = [];
  for (let next = queue.next(); next !== undefined; next = queue.next()) served.push(next);
  return served;
}

describe("TM-N-06 the fair queue", () => {
  test("a lane that is full does not delay another by more than a round", () => {
    const queue = new FairQueue<number>(roomy);
    for (let item = 0; item < 100; item += 1) queue.push({ lane: "loud", item, cost: 50 });
    queue.push({ lane: "quiet", item: 0, cost: 1 });
    const lanes = drain(queue).map(({ lane }) => lane);
    expect(lanes.indexOf("quiet")).toBeLessThanOrEqual(2);
    expect(lanes).toHaveLength(101);
  });

  test("an empty queue has nobody", () => {
    const queue = new FairQueue<number>(roomy);
    expect(queue.next()).toBeUndefined();
    queue.push({ lane: "a", item: 1, cost: 1 });
    expect(queue.next()?.item).toBe(1);
    expect(queue.next()).toBeUndefined();
    expect([queue.size, queue.cost]).toEqual([0, 0]);
  });

  test("what costs more than a round is served in the end", () => {
    const queue = new FairQueue<number>(roomy);
    queue.push({ lane: "a", item: 1, cost: 540 });
    expect(queue.next()?.item).toBe(1);
  });

  test("when it is full the lane that holds most gives way, and the quiet one stays", () => {
    const queue = new FairQueue<number>({ ...roomy, mostWaiting: 10 });
    queue.push({ lane: "quiet", item: -1, cost: 1 });
    for (let item = 0; item < 9; item += 1)
      expect(queue.push({ lane: "loud", item, cost: 1 })).toEqual([]);
    expect(queue.push({ lane: "late", item: 1, cost: 1 })).toEqual([
      { lane: "loud", item: 8, cost: 1 },
    ]);
    expect(queue.push({ lane: "loud", item: 9, cost: 1 })).toEqual([
      { lane: "loud", item: 9, cost: 1 },
    ]);
    expect(drain(queue).filter(({ lane }) => lane !== "loud")).toHaveLength(2);
  });

  const arrivals = fc.array(
    fc.record({
      lane: fc.constantFrom("a", "b", "c", "d"),
      cost: fc.integer({ min: 1, max: 100 }),
      serve: fc.boolean(),
    }),
    { maxLength: 300 },
  );

  test("nothing is lost, nothing comes twice, each lane keeps its order, and the bounds hold", () => {
    fc.assert(
      fc.property(arrivals, (list) => {
        const queue = new FairQueue<number>({ mostWaiting: 40, mostCost: 900, quantum });
        const out: Waiting<number>[] = [];
        const served: Waiting<number>[] = [];
        for (const [item, { lane, cost, serve }] of list.entries()) {
          out.push(...queue.push({ lane, item, cost }));
          expect(queue.size).toBeLessThanOrEqual(40);
          expect(queue.cost).toBeLessThanOrEqual(900);
          const next = serve ? queue.next() : undefined;
          if (next !== undefined) served.push(next);
        }
        served.push(...drain(queue));
        const seen = [...served, ...out].map(({ item }) => item).toSorted((a, b) => a - b);
        expect(seen).toEqual(list.map((_, item) => item));
        for (const name of ["a", "b", "c", "d"]) {
          const own = served.filter(({ lane }) => lane === name).map(({ item }) => item);
          expect(own).toEqual(own.toSorted((a, b) => a - b));
        }
        expect([queue.size, queue.cost]).toEqual([0, 0]);
      }),
    );
  });

  test("lanes that all wait are served alike, whatever each request costs", () => {
    const costs = fc.array(fc.integer({ min: 1, max: 100 }), { minLength: 2, maxLength: 6 });
    fc.assert(
      fc.property(costs, (each) => {
        const queue = new FairQueue<number>({
          mostWaiting: 100_000,
          mostCost: 1_000_000,
          quantum,
        });
        const rounds = 3000;
        for (const [lane, cost] of each.entries())
          for (let spent = 0; spent < rounds; spent += cost)
            queue.push({ lane: String(lane), item: 0, cost });
        const served = each.map(() => 0);
        const least = (): number => Math.min(...served);
        while (least() < rounds / 2) {
          const next = queue.next();
          if (next === undefined) break;
          served[Number(next.lane)] = (served[Number(next.lane)] ?? 0) + next.cost;
        }
        // The bound of deficit round robin: a round, and a request at either end.
        expect(Math.max(...served) - least()).toBeLessThanOrEqual(quantum + 2 * 100);
      }),
    );
  });
});
