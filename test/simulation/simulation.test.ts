import { describe, expect, test } from "vitest";
import { differences } from "./convergence.ts";
import { step } from "./operations.ts";
import { World } from "./world.ts";

const stepsPerSeed = 60;
const minuteMs = 60_000;

/** One seed to replay, from a failure's message, or a range of them (`31-200`); otherwise these. */
const replayed = process.env["HERALD_SIM_SEED"];
const [first = 1, last = replayed === undefined ? 30 : first] =
  replayed === undefined ? [] : replayed.split("-").map(Number);
const seeds = Array.from({ length: last - first + 1 }, (_none, at) => first + at);

async function story(seed: number): Promise<World> {
  const world = await World.of(seed);
  for (let at = 0; at < stepsPerSeed; at += 1) await step(world);
  return world;
}

/** After the end of all trouble: at once what needs no time, within an hour what waits for those who were away. */
async function converge(world: World): Promise<readonly string[]> {
  await world.heal();
  let left = await differences(world);
  for (let passed = 0; passed < 90 && left.length > 0; passed += 1) {
    await world.advance(minuteMs);
    left = await differences(world);
  }
  return left;
}

function audited(world: World): readonly string[] {
  const broken: string[] = [];
  let prev = "0".repeat(64);
  for (const [at, { digest, payload }] of world.issuer.audit.records.entries()) {
    if (BigInt(payload.n) !== BigInt(at + 1) || payload.prev !== prev)
      broken.push(`audit record ${payload.n} does not follow ${at}`);
    prev = digest;
  }
  return broken;
}

describe("two nodes, an issuer and a bus that nobody trusts, under a seed", () => {
  test.for(seeds)(
    "TM-B-02, TM-B-09, BDL-17, MEC-06: whatever happens, all converge (HERALD_SIM_SEED=%i)",
    { timeout: 120_000 },
    async (seed) => {
      const world = await story(seed);
      const left = await converge(world);
      await world.ledger.create(world.issuer.issuer, { kind: "all" }, 1000);
      await world.advance(minuteMs);
      expect({
        seed,
        left: [...left, ...(await differences(world))],
        broken: world.witness.broken,
        lies: [
          ...world.ledger.lies(world.issuer.issuer.entries.list()),
          ...(await world.cuts.lies(world)),
        ],
        audit: audited(world),
      }).toEqual({ seed, left: [], broken: [], lies: [], audit: [] });
    },
  );

  test("the same seed tells the same story", async () => {
    const [one, other] = [await story(2), await story(2)];
    expect(one.trace.length).toBeGreaterThan(stepsPerSeed);
    expect(other.trace).toEqual(one.trace);
  });
});
