import type { X509Svid } from "../../src/core/svid/workload-view.ts";
import { envoyPath } from "../support/parts.ts";
import { RevocationMesh } from "../support/revocation-mesh.ts";
import { callAs } from "../support/tls-call.ts";
import { eventually } from "./support/fleet.ts";
import { type Result, timesRow } from "./support/stats.ts";

const samples = 20;
const warmUps = 2;

/** A server's Envoy, callers that it lets in, and the order by which one of them is let in no more. */
export interface RevocationWorld extends AsyncDisposable {
  /** Where the server's Envoy takes mutual TLS. */
  readonly port: number;
  /** At least {@link samples} and the warm-ups; each is revoked once. */
  readonly callers: readonly X509Svid[];
  revoke(caller: X509Svid): Promise<void>;
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

/** From a new CRL at a node to its Envoy: no issuer, no bus. */
async function nodeHalf(): Promise<RevocationWorld> {
  const names = Array.from({ length: warmUps + samples }, (_, index) => `caller-${index}`);
  const mesh = await RevocationMesh.start(envoyPath(), ["server", ...names]);
  const to = await mesh.startService();
  const id = "spiffe://example.org/server";
  const port = await mesh.startEnvoy({ name: "server", id, side: "server", to });
  return {
    port,
    callers: names.map((name) => mesh.svid(name)),
    revoke: async ({ serial }) => await mesh.revoke(serial),
    notes: [
      "The node's half: begins with a new CRL at the node's SDS server, which is pushed to one Envoy.",
    ],
    [Symbol.asyncDispose]: async () => await mesh[Symbol.asyncDispose](),
  };
}
