import { afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { call } from "../../demo/calls.ts";
import type { Envoy } from "../../demo/envoy.ts";
import { eventually } from "../../demo/eventually.ts";
import { Load } from "../../demo/load.ts";
import { acknowledgedAt } from "../../demo/logs.ts";
import { giveIdentity, openStage, type Stage } from "../../demo/stage.ts";
import { closeFleet, fleetOptions } from "../support/fleet.ts";
import { envoySkipped } from "../support/parts.ts";

/** Requests that must have come back while a process is dead, and again when it lives. */
const meanwhile = 150;

describe.skipIf(envoySkipped())("SIGKILL under load", () => {
  let stage: Stage;
  let load: Load;
  let latecomers = 0;

  beforeAll(async () => {
    stage = await openStage(fleetOptions());
    return () => closeFleet(stage.fleet);
  });
  beforeEach(() => {
    load = Load.start({ port: stage.web.port, perSecond: 200 });
  });
  afterEach(() => load.stop());

  /** Resolves when so many more requests have come back. */
  async function traffic(of: Load = load): Promise<void> {
    const until = of.count() + meanwhile;
    await eventually(`${meanwhile} more requests have come back`, () => of.count() >= until);
  }

  /** A new entry reaches an Envoy of each node that waits for it, and what it says is believed by the other. */
  async function expectConvergence(): Promise<void> {
    const { fleet, nodeA, nodeB, api, service } = stage;
    latecomers += 1;
    const client = await fleet.addEnvoy({
      name: `late-client-${latecomers}`,
      node: nodeA,
      side: "client",
      upstream: api.port,
    });
    const server = await fleet.addEnvoy({
      name: `late-server-${latecomers}`,
      node: nodeB,
      side: "server",
      upstream: service,
    });
    await Promise.all([client.start(), server.start()]);
    await giveIdentity(fleet, client, [nodeA]);
    await giveIdentity(fleet, server, [nodeB]);
    expect(await call(client.port)).toMatchObject({ status: 200, caller: client.spiffeId });
    for (const node of [nodeA, nodeB])
      await eventually(`${node.name} is well`, () => fleet.isWell(node));
    await Promise.all([client.program.stop(), server.program.stop()]);
  }

  async function expectNoFailure(): Promise<void> {
    await load.stop();
    expect(load.failures()).toEqual([]);
    expect([...load.since(0).callers]).toEqual([stage.web.spiffeId]);
  }

  test("of nats-server: no request fails, and all are in step again", async () => {
    const { fleet } = stage;
    await traffic();
    await fleet.nats.stop("SIGKILL");
    await traffic();
    await fleet.startNats();
    await eventually("the issuer makes entries again", async () => {
      await fleet.admin((admin) =>
        admin.createEntry({ spiffeId: fleet.id("probe"), nodes: [stage.nodeA.spiffeId] }),
      );
      return true;
    });
    await expectConvergence();
    await expectNoFailure();
  });

  test("of the issuer: no request fails, and all are in step again", async () => {
    const { fleet } = stage;
    await traffic();
    await fleet.issuer.stop("SIGKILL");
    await traffic();
    await fleet.startIssuer();
    await expectConvergence();
    await expectNoFailure();
  });

  test.for(["node a", "node b"] as const)(
    "of %s: no request fails, and its Envoy is served from what it had",
    async (which) => {
      const { fleet, nodeA, nodeB, web, api } = stage;
      const [node, envoy] = which === "node a" ? [nodeA, web] : [nodeB, api];
      await traffic();
      await node.program.stop("SIGKILL");
      await traffic();
      const restarted = Date.now();
      await fleet.startNode(node);
      await eventually("its Envoy has acknowledged again", () =>
        acknowledgedAt(node.log, { name: envoy.spiffeId, since: restarted }),
      );
      await expectConvergence();
      await expectNoFailure();
    },
  );

  test("of everything but the Envoys at once: no request fails, and all are in step again", async () => {
    const { fleet, nodeA, nodeB } = stage;
    await traffic();
    await Promise.all(
      [fleet.nats, fleet.issuer, nodeA.program, nodeB.program].map((program) =>
        program.stop("SIGKILL"),
      ),
    );
    await traffic();
    await Promise.all([fleet.startNode(nodeA), fleet.startNode(nodeB)]);
    await fleet.startNats();
    await fleet.startIssuer();
    await expectConvergence();
    await expectNoFailure();
  });

  test("of one Envoy: only its own requests fail, and only until it is back", async () => {
    const { fleet, nodeA, api, web } = stage;
    const other: Envoy = await fleet.addEnvoy({
      name: "other",
      node: nodeA,
      side: "client",
      upstream: api.port,
    });
    await other.start();
    await giveIdentity(fleet, other, [nodeA]);
    const unharmed = Load.start({ port: other.port, perSecond: 100 });
    await traffic();
    const killed = load.mark();
    await web.program.stop("SIGKILL");
    await traffic(unharmed);
    await web.start();
    await eventually("Envoy is live again", () => web.isLive());
    await eventually(
      "its requests are answered again",
      async () => (await call(web.port)).status === 200,
    );
    const back = load.mark();
    await traffic();
    await Promise.all([load.stop(), unharmed.stop()]);
    expect(unharmed.failures()).toEqual([]);
    expect(load.failures().length).toBeGreaterThan(0);
    const innocent = load.failures().filter(({ at, sentAt }) => at < killed || sentAt > back);
    expect(innocent).toEqual([]);
    expect(load.since(back).requests).toBeGreaterThanOrEqual(meanwhile);
  });
});
