import { describe, expect, test } from "vitest";
import { bundleKey, manifestKey } from "../../src/core/envelope/object-keys.ts";
import { HeldClock } from "../support/held-clock.ts";
import type { Passage } from "../support/memory-bus-faults.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { simulationDomain } from "../support/simulation-domain.ts";
import { SimulationIssuer } from "../support/simulation-issuer.ts";
import { SimulationNode } from "../support/simulation-node.ts";
import { World } from "./world.ts";

const minuteMs = 60_000;
const operator = { kind: "unix", uid: 0, pid: 1 } as const;

/** What of the state a broker would have to hold back, so that a node never learns of `key`. */
function tells(world: World, node: SimulationNode, key: string): (passage: Passage) => boolean {
  const token = world.tokenOf(node);
  return ({ to, subject }) =>
    subject.includes(".req.state.") || (to === token && subject.endsWith(key));
}

function issuedTo(world: World, node: SimulationNode): number {
  return world.issuer.audit.records.filter(({ payload: { action } }) => {
    const isFor = "node" in action && action.node === node.identity.node;
    return isFor && (action.kind === "svids-issued" || action.kind === "node-renewed");
  }).length;
}

function east(world: World): SimulationNode {
  const [node] = world.nodes;
  if (node === undefined) throw new RangeError("no nodes");
  return node;
}

describe("what a broker may try with one node", () => {
  test("TM-B-02: a node whose bundle is withheld does not ask for SVIDs without end", async () => {
    const world = await World.of(1);
    const node = east(world);
    await world.advance(minuteMs);
    const before = issuedTo(world, node);
    await world.issuer.issuer.rotate(operator);
    // It hears of the next authority and says so; that it signs now is kept from the node.
    await world.clock.until(
      () =>
        world.trace.some(
          (line) =>
            line.endsWith(" signs") &&
            !line.startsWith(world.issuer.issuer.authorities.list()[0]?.authority ?? ""),
        ),
      { stepMs: 20, limitMs: minuteMs },
    );
    world.bus.faults.drop(tells(world, node, bundleKey(world.domain.trustDomain)));
    await world.advance(100 * minuteMs);
    expect(issuedTo(world, node) - before).toBeLessThan(20);
  });

  test("TM-B-04: a manifest that was withheld is found after the next reconnection", async () => {
    const world = await World.of(2);
    const node = east(world);
    const key = manifestKey(node.identity.node);
    const undo = world.bus.faults.drop(
      ({ to, subject }) => to === world.tokenOf(node) && subject.endsWith(key),
    );
    await world.ledger.create(
      world.issuer.issuer,
      { kind: "ids", ids: [node.identity.node] },
      1000,
    );
    await world.advance(minuteMs);
    expect(node.service?.status().entries).toBe(1);
    // The broker still shows nothing of it; the issuer, asked by the node itself, does.
    await world.reconnect(100);
    await world.advance(2 * minuteMs);
    expect(node.service?.status().entries).toBe(2);
    undo();
  });

  test("ENR-03: a broker that answers with rubbish keeps no node from renewing", async () => {
    const clock = new HeldClock(Date.UTC(2026, 10, 22, 12));
    const domain = await simulationDomain(clock.now());
    const random = new SeededRandom(1);
    const settings = { nodeTtlSeconds: 600 };
    const issuer = new SimulationIssuer({ domain, clock, random, settings });
    const { bus } = issuer;
    await issuer.start();
    const wanted = { nodeName: "east", labels: {}, replaces: false };
    const { joinString } = await issuer.issuer.createToken(wanted, operator);
    const node = new SimulationNode({ name: "east", domain, issuer, bus, clock, random });
    await node.enrol(joinString);
    bus.faults.tamper(
      ({ subject }) => subject === "reply",
      () => Buffer.from("rubbish"),
    );
    await clock.advance(15 * minuteMs);
    expect(node.service?.status().nodeExpiry).toBeGreaterThan(clock.now());
  });
});
