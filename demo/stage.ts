import type { Envoy } from "./envoy.ts";
import { eventually } from "./eventually.ts";
import { Fleet, type FleetNode, type FleetOptions } from "./fleet.ts";
import { acknowledgedAt } from "./logs.ts";

/** What the demo plays on: "web" calls "api", each behind its own Envoy, each Envoy at a node of its own. */
export interface Stage {
  readonly fleet: Fleet;
  readonly nodeA: FleetNode;
  readonly nodeB: FleetNode;
  /** Port of the service behind api's Envoy. */
  readonly service: number;
  /** At node a. */
  readonly web: Envoy;
  /** At node b. */
  readonly api: Envoy;
}

/** Brings everything up: both Envoys wait for an identity that nobody has given them yet. */
export async function buildStage(fleet: Fleet): Promise<Stage> {
  await fleet.startNats();
  await fleet.startIssuer();
  const service = await fleet.startService();
  const [nodeA, nodeB] = [await fleet.addNode("node-a"), await fleet.addNode("node-b")];
  await Promise.all([fleet.startNode(nodeA), fleet.startNode(nodeB)]);
  const api = await fleet.addEnvoy({ name: "api", node: nodeB, side: "server", upstream: service });
  const web = await fleet.addEnvoy({
    name: "web",
    node: nodeA,
    side: "client",
    upstream: api.port,
  });
  await Promise.all([api.start(), web.start()]);
  return { fleet, nodeA, nodeB, service, web, api };
}

/** The whole stage with an identity for each of its Envoys, ready for calls. */
export async function openStage(options: FleetOptions): Promise<Stage> {
  const fleet = await Fleet.create(options);
  try {
    const stage = await buildStage(fleet);
    await giveIdentity(fleet, stage.api, [stage.nodeB]);
    await giveIdentity(fleet, stage.web, [stage.nodeA]);
    return stage;
  } catch (thrown) {
    await fleet.close();
    throw thrown;
  }
}

/**
 * Creates the entry that an Envoy waits for. Resolves, when it takes calls, with the milliseconds from the call of the admin API to the Envoy's
 * acknowledgement of its SVID.
 */
export async function giveIdentity(
  fleet: Fleet,
  envoy: Envoy,
  nodes: readonly FleetNode[],
): Promise<number> {
  const since = await fleet.admin(async (admin) => {
    const called = Date.now();
    await admin.createEntry({
      spiffeId: envoy.spiffeId,
      nodes: nodes.map((node) => node.spiffeId),
    });
    return called;
  });
  const at = await eventually(`Envoy ${envoy.name} acknowledged its SVID`, () =>
    acknowledgedAt(envoy.nodeLog, { name: envoy.spiffeId, since }),
  );
  await eventually(`Envoy ${envoy.name} is live`, () => envoy.isLive());
  return at - since;
}
