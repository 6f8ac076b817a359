import { fetchX509 } from "../../src/cli/fetch-x509.ts";
import type { Surroundings } from "../../src/cli/surroundings.ts";
import { systemClock } from "../../src/kit/clock.ts";
import { envoyPath } from "../support/parts.ts";
import { RevocationMesh } from "../support/revocation-mesh.ts";
import { Sidecars } from "../support/sidecars.ts";
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
export interface RevocationWorld extends AsyncDisposable {
  /** Where the server's Envoy takes mutual TLS. */
  readonly port: number;
  /** At least {@link samples} and the warm-ups; each is revoked once. */
  readonly callers: readonly Caller[];
  revoke(caller: Caller): Promise<void>;
  /** What the figures begin and end with, for people. */
  readonly notes: readonly string[];
}

/** A caller is revoked while it calls, again and again on new connections: how long until its handshake is refused? */
export async function revocationToRefused(
  open: () => Promise<RevocationWorld> = nodeHalf,
): Promise<Result> {
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
  return {
    name: "revocation",
    rows: [timesRow("revoked -> handshake refused", times.slice(warmUps))],
    notes: world.notes,
  };
}

const names = Array.from({ length: warmUps + samples }, (_, index) => `caller-${index}`);
const server = { name: "server", id: `spiffe://${trustDomain}/server`, side: "server" } as const;

/** From a new CRL at a node to its Envoy: no issuer, no bus. */
async function nodeHalf(): Promise<RevocationWorld> {
  const mesh = await RevocationMesh.start(envoyPath(), ["server", ...names]);
  const to = await mesh.sidecars.startService();
  return {
    port: await mesh.sidecars.startEnvoy({ ...server, to }),
    callers: names.map((name) => mesh.svid(name)),
    revoke: async ({ serial }) => await mesh.revoke(serial),
    notes: [
      "The node's half: begins with a new CRL at the node's SDS server, which is pushed to one Envoy.",
    ],
    [Symbol.asyncDispose]: async () => await mesh[Symbol.asyncDispose](),
  };
}

/** The whole way, every program a process of its own; `revoke` orders it at the issuer and resolves with its answer. */
export async function wholeWay(
  revoke: (fleet: Fleet, caller: Caller) => Promise<void>,
): Promise<RevocationWorld> {
  const fleet = await Fleet.start(["n1"]);
  const { socket } = fleet.node;
  const sidecars = new Sidecars({ envoy: envoyPath(), socket });
  const end = async (): Promise<void> => {
    await sidecars[Symbol.asyncDispose]();
    await fleet[Symbol.asyncDispose]();
  };
  try {
    const ids = [server.id, ...names.map((name) => `spiffe://${trustDomain}/${name}`)];
    for (const id of ids) await fleet.createEntry(id);
    let callers: readonly Caller[] = [];
    await eventually(async () => {
      callers = (await callersOf(socket)).filter(({ id }) => id !== server.id);
      return callers.length === names.length;
    });
    const port = await sidecars.startEnvoy({ ...server, to: await sidecars.startService() });
    return {
      port,
      callers,
      revoke: async (caller) => await revoke(fleet, caller),
      notes: [
        "Begins with the order at the issuer, which signs a CRL; NATS, one node daemon, one Envoy.",
      ],
      [Symbol.asyncDispose]: end,
    };
  } catch (thrown) {
    await end();
    throw thrown;
  }
}

/** Every identity of this process, as the Workload API gives them. */
async function callersOf(socket: string): Promise<readonly Caller[]> {
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
