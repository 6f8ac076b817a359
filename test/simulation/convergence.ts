import {
  bundleKey,
  controlKey,
  groupIndexKey,
  manifestKey,
  revocationsKey,
} from "../../src/core/envelope/object-keys.ts";
import { formatVersion } from "../../src/core/envelope/version.ts";
import { compareEntries, type Entry, selectsNode } from "../../src/core/policy/entry.ts";
import { selectorsMatch } from "../../src/core/spiffe/selector.ts";
import { verifyX509Svid } from "../../src/core/svid/verify.ts";
import type { WorkloadView } from "../../src/core/svid/workload-view.ts";
import { NodeView } from "../../src/events/node-view.ts";
import type { SimulationNode } from "../support/simulation-node.ts";
import type { FakeEnvoy } from "./fake-envoy.ts";
import type { World } from "./world.ts";

/** What still differs from what must be in the end; empty once all have converged. */
export async function differences(world: World): Promise<readonly string[]> {
  const { running } = world.issuer;
  if (running === undefined) return ["no issuer"];
  const left: string[] = [];
  if (running.status().pending > 0) left.push("objects are not in the store");
  if (running.rotation.running() !== undefined)
    left.push(`rotation: ${JSON.stringify(running.rotation.progress())}`);
  for (const node of world.nodes) left.push(...(await viewDiffers(world, node)));
  for (const envoy of world.envoys) if (!envoy.dead) left.push(...envoyDiffers(world, envoy));
  return left;
}

/** Every node's view is that of a fresh node, which reads the store for the first time. */
async function viewDiffers(world: World, node: SimulationNode): Promise<readonly string[]> {
  const { domain, bus, clock, issuer } = world;
  const fresh = new NodeView({ trust: domain.trust(), node: node.identity.node });
  const eyes = bus.node("observer");
  fresh.offerHead(issuer.heads.at(-1) ?? new Uint8Array(), clock.now());
  for (const key of fresh.keys) {
    const bytes = await eyes.read(key);
    if (bytes !== undefined) fresh.offer(bytes, clock.now(), key);
  }
  const held = new NodeView({ trust: domain.trust(), node: node.identity.node });
  for (const bytes of node.disk.view) held.offer(bytes, clock.now());
  const { trustDomain } = domain;
  return [
    controlKey,
    revocationsKey(trustDomain),
    bundleKey(trustDomain),
    groupIndexKey,
    manifestKey(node.identity.node),
  ].flatMap((key) => {
    const [here, there] = [held.versions()[key], fresh.versions()[key]];
    if (here === undefined || there === undefined) return [`${node.name} lacks ${key}`];
    const [mine, theirs] = [formatVersion(here), formatVersion(there)];
    return mine === theirs ? [] : [`${node.name} holds ${key} ${mine}, a fresh node ${theirs}`];
  });
}

/** A process holds exactly the SVIDs of the entries that fit it, all by the authority that signs now, and uses what it was given last. */
function envoyDiffers(world: World, envoy: FakeEnvoy): readonly string[] {
  const { issuer, node } = { issuer: world.issuer.issuer, node: envoy.node };
  const { service } = node;
  if (service === undefined) return [`${node.name} is down`];
  const watch = service.watch(envoy.selectors, () => undefined);
  const view = watch.current();
  watch.close();
  const record = issuer.nodes.list().find((one) => one.node === node.identity.node);
  const traits = { id: node.identity.node, labels: record?.labels ?? {} };
  const fitting = issuer.entries
    .list()
    .filter(
      (entry) =>
        selectsNode(entry.nodes, traits) &&
        selectorsMatch(entry.selectors, new Set(envoy.selectors)),
    )
    .toSorted(compareEntries);
  const pid = `pid ${envoy.pid}`;
  const left = svidsDiffer(world, view, fitting).map((one) => `${pid} ${one}`);
  const [newest] = view.svids;
  if (newest !== undefined && envoy.svid?.serial !== newest.serial)
    left.push(`${pid} uses another SVID`);
  if (envoy.bundle?.sequence !== view.bundles.get(view.trustDomain)?.sequence)
    left.push(`${pid} uses another bundle`);
  return left;
}

function svidsDiffer(
  world: World,
  view: WorkloadView,
  fitting: readonly Entry[],
): readonly string[] {
  const [held, wanted] = [view.svids.map(({ id }) => id), fitting.map(({ spiffeId }) => spiffeId)];
  if (held.join() !== wanted.join()) return [`holds [${held.join()}], should [${wanted.join()}]`];
  const active = Buffer.from(world.issuer.issuer.authorities.active()?.certificate ?? "", "base64");
  const bundle = view.bundles.get(view.trustDomain);
  const ours = new Map(
    bundle === undefined ? [] : [[view.trustDomain, { ...bundle, x509Authorities: [active] }]],
  );
  return view.svids.flatMap((svid) => {
    try {
      verifyX509Svid(svid.chain, ours, world.clock.now());
      return [];
    } catch {
      return [`${svid.id} is not by the active authority`];
    }
  });
}
