import { Load } from "../../demo/load.ts";
import { fetchX509 } from "../../src/cli/fetch-x509.ts";
import type { Surroundings } from "../../src/cli/surroundings.ts";
import { systemClock } from "../../src/kit/clock.ts";
import { olderEnvoy, olderEnvoyIsThere } from "../interop/support/older-envoy.ts";
import { envoyPath } from "../support/parts.ts";
import { RevocationMesh } from "../support/revocation-mesh.ts";
import { Sidecars, statusOf } from "../support/sidecars.ts";
import { type CallerSvid, callAs } from "../support/tls-call.ts";
import { eventually, Fleet, trustDomain } from "./support/fleet.ts";
import { type Result, timesRow } from "./support/stats.ts";

const samples = 20;
const warmUps = 2;

/** An identity with its key, and the serial by which it is revoked. */
interface Caller extends CallerSvid {
  readonly id: string;
  /** Lower-case hex. */
  readonly serial: string;
}

/** A server's Envoy, callers that it lets in, and the order by which one of them is let in no more. */
interface RevocationWorld extends AsyncDisposable {
  /** What is timed. */
  readonly what: string;
  /** Where the server's Envoy takes mutual TLS. */
  readonly port: number;
  /** At least {@link samples} and the warm-ups; each is revoked once. */
  readonly callers: readonly Caller[];
  revoke(caller: Caller): Promise<void>;
  /** Requests of others that went wrong so far; undefined where there is no load. */
  readonly failures?: () => readonly string[];
  /** What the figures begin and end with, for people. */
  readonly notes: readonly string[];
}

/** A caller is revoked while it calls, again and again on new connections: how long until its handshake is refused? */
async function revocationToRefused(open: () => Promise<RevocationWorld>): Promise<Result> {
  await using world = await open();
  const { port, callers } = world;
  const times: number[] = [];
  let refusedOthers = 0;
  for (const [index, caller] of callers.slice(0, warmUps + samples).entries()) {
    await eventually(async () => (await callAs(caller, port)) === 200);
    const begun = performance.now();
    const revoking = world.revoke(caller);
    while ((await callAs(caller, port)) !== undefined);
    times.push(performance.now() - begun);
    await revoking;
    const next = callers[index + 1];
    if (next !== undefined && (await callAs(next, port)) !== 200) refusedOthers += 1;
  }
  if (refusedOthers > 0) throw new Error(`${refusedOthers} callers were refused without cause`);
  const failures = world.failures?.() ?? [];
  if (failures.length > 0)
    throw new Error(`others failed ${failures.length} times: ${failures[0]}`);
  return {
    name: "revocation",
    rows: [timesRow(`${world.what}: revoked -> handshake refused`, times.slice(warmUps))],
    notes: world.notes,
  };
}

const names = Array.from({ length: warmUps + samples }, (_, index) => `caller-${index}`);
const bystander = {
  name: "others",
  id: `spiffe://${trustDomain}/others`,
  side: "client",
  requestsPerConnection: 20,
} as const;
const server = { name: "server", id: `spiffe://${trustDomain}/server`, side: "server" } as const;

/** From a new CRL at a node to its Envoy: no issuer, no bus. */
async function nodeHalf(): Promise<RevocationWorld> {
  const mesh = await RevocationMesh.start(envoyPath(), ["server", ...names]);
  const to = await mesh.sidecars.startService();
  return {
    what: "node and Envoy 1.40",
    port: await mesh.sidecars.startEnvoy({ ...server, to }),
    callers: names.map((name) => mesh.svid(name)),
    revoke: async ({ serial }) => await mesh.revoke(serial),
    notes: [
      "The node's half: begins with a new CRL at the node's SDS server, which is pushed to one Envoy.",
    ],
    [Symbol.asyncDispose]: async () => await mesh[Symbol.asyncDispose](),
  };
}

/** An Envoy by its version. */
interface EnvoyRelease {
  readonly version: string;
  readonly path: () => string | Promise<string>;
}

const releases: readonly EnvoyRelease[] = [
  { version: "1.40.0", path: envoyPath },
  ...(olderEnvoyIsThere() ? [{ version: "1.36.2", path: olderEnvoy }] : []),
];

/** The node's half, then the whole way to each Envoy. */
export async function revocation(): Promise<Result> {
  const results = [await revocationToRefused(nodeHalf)];
  for (const release of releases)
    results.push(await revocationToRefused(async () => await wholeWay(release)));
  return {
    name: "revocation",
    rows: results.flatMap(({ rows }) => rows),
    notes: [...new Set(results.flatMap(({ notes }) => notes))],
  };
}

/** The whole way, every program a process of its own, while another caller makes 200 requests a second. */
async function wholeWay({ version, path }: EnvoyRelease): Promise<RevocationWorld> {
  const fleet = await Fleet.start(["n1"]);
  const { socket } = fleet.node;
  const sidecars = new Sidecars({ envoy: await path(), socket });
  let load: Load | undefined;
  const end = async (): Promise<void> => {
    await load?.stop();
    await sidecars[Symbol.asyncDispose]();
    await fleet[Symbol.asyncDispose]();
  };
  try {
    const callers = await callersOf(fleet, socket);
    const port = await sidecars.startEnvoy({ ...server, to: await sidecars.startService() });
    const others = await sidecars.startEnvoy({ ...bystander, to: port });
    await eventually(async () => (await statusOf(others)) === 200);
    const running = Load.start({ port: others, perSecond: 200 });
    load = running;
    return {
      what: `order at the issuer, Envoy ${version}`,
      port,
      callers,
      revoke: async ({ serial }) => await fleet.revoke(serial),
      failures: () => running.failures().map(({ reason }) => reason),
      notes: [
        "The whole way begins with the order at the issuer's admin socket: audit record, CRL, NATS, one node daemon, one Envoy; others make 200 requests a second meanwhile, and none of them fails.",
      ],
      [Symbol.asyncDispose]: end,
    };
  } catch (thrown) {
    await end();
    throw thrown;
  }
}

/** Makes the entries, and waits until the node has all their SVIDs. */
async function callersOf(fleet: Fleet, socket: string): Promise<readonly Caller[]> {
  const wanted = names.map((name) => `spiffe://${trustDomain}/${name}`);
  for (const id of [server.id, bystander.id, ...wanted]) await fleet.createEntry(id);
  let callers: readonly Caller[] = [];
  await eventually(async () => {
    callers = (await identitiesOf(socket)).filter(({ id }) => wanted.includes(id));
    return callers.length === names.length;
  });
  return callers;
}

/** Every identity of this process, as the Workload API gives them. */
async function identitiesOf(socket: string): Promise<readonly Caller[]> {
  const surroundings: Surroundings = {
    env: {},
    uid: process.getuid?.() ?? 0,
    clock: systemClock,
    out: () => undefined,
    err: () => undefined,
    onInterrupt: () => () => undefined,
  };
  const { svids } = await fetchX509({
    socket: `unix://${socket}`,
    timeoutMs: 10_000,
    surroundings,
  });
  return svids.map(({ spiffeId, chain, privateKey, leaf }) => ({
    id: spiffeId,
    chain,
    privateKey,
    serial: leaf.serialNumber.toLowerCase(),
  }));
}
