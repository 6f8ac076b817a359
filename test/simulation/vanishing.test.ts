import { expect, test } from "vitest";
import { parseBundle } from "../../src/core/bundle/document.ts";
import { bundleKey } from "../../src/core/envelope/object-keys.ts";
import type { BundleState } from "../../src/core/envelope/payloads.ts";
import { verifyX509Svid } from "../../src/core/svid/verify.ts";
import { newEntry, operator } from "../issuer/support/office.ts";
import { HeldClock } from "../support/held-clock.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { payloadOf } from "../support/simulation-audit.ts";
import { simulationDomain } from "../support/simulation-domain.ts";
import { SimulationIssuer } from "../support/simulation-issuer.ts";
import { SimulationNode } from "../support/simulation-node.ts";

const minuteMs = 60_000;
const count = 100;
const settings = {
  headIntervalMs: 120_000,
  nodeTtlSeconds: 3600,
  defaultTtlSeconds: 1800,
  maxTtlSeconds: 3600,
};

test("GATE-06: two of a hundred nodes vanish in the midst of a rotation: it ends unattended, names them, and cuts nobody off", {
  timeout: 240_000,
}, async () => {
  const clock = new HeldClock(Date.UTC(2026, 10, 22, 12));
  const domain = await simulationDomain(clock.now());
  const { trustDomain } = domain;
  const random = new SeededRandom(7);
  const host = new SimulationIssuer({ domain, clock, random, settings });
  await host.start();
  const { bus } = host;
  const nodes: SimulationNode[] = [];
  for (let index = 0; index < count; index += 1) {
    const name = `n${index}`;
    const wanted = { nodeName: name, labels: {}, replaces: false };
    const { joinString } = await host.issuer.createToken(wanted, operator);
    const node = new SimulationNode({ name, domain, issuer: host, bus, clock, random });
    await node.enrol(joinString);
    nodes.push(node);
  }
  await host.issuer.createEntry(newEntry("/web"), operator);
  await clock.advance(minuteMs);
  const [lost, rest] = [nodes.slice(0, 2), nodes.slice(2)];
  const cutOff: string[] = [];
  host.onStored = (key, bytes) => {
    if (key !== bundleKey(trustDomain)) return;
    const bundle = parseBundle(trustDomain, payloadOf<BundleState>(bytes).document);
    for (const { name, disk } of nodes)
      for (const { chain } of disk.svids.values())
        if (
          !holds(chain, () => verifyX509Svid(chain, new Map([[trustDomain, bundle]]), clock.now()))
        )
          cutOff.push(name);
  };
  await host.issuer.rotate(operator);
  // They were given the new root no more.
  for (const node of lost) node.kill();
  await clock.until(() => host.issuer.rotation.running() === undefined, {
    stepMs: minuteMs,
    limitMs: 120 * minuteMs,
  });
  const { step, passed } = host.issuer.rotation.progress();
  expect(step).toBe("done");
  expect(new Set(passed.map(({ node, why }) => `${node} ${why}`))).toEqual(
    new Set(lost.map(({ identity }) => `${identity.node} lost`)),
  );
  expect(cutOff).toEqual([]);
  expect(host.issuer.authorities.trusted().map(({ status }) => status)).toEqual(["active"]);
  const named = host.audit.records.flatMap(({ payload: { action } }) =>
    action.kind === "authority" && action.by.includes("passes") ? [action.by] : [],
  );
  for (const { identity } of lost)
    expect(named.some((by) => by.includes(identity.node))).toBe(true);
  for (const node of rest) expect(node.service?.status().svids).toBe(1);
});

/** An SVID that has ended is nobody's any more. */
function holds(chain: readonly Uint8Array[], verify: () => unknown): boolean {
  try {
    verify();
    return true;
  } catch (refused) {
    return chain.length === 0 || String((refused as { code?: unknown }).code) === "SVID_EXPIRED";
  }
}
