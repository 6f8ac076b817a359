import { generateKeyPairSync, randomBytes, sign } from "node:crypto";
import { join } from "node:path";
import type { SignItem } from "../../src/core/envelope/payloads.ts";
import { createCsr } from "../../src/core/x509/csr.ts";
import { nodeKeyMaker } from "../../src/core/x509/key-pair.ts";
import { identityOf } from "../../src/daemon/node-enrolment.ts";
import { connectBus } from "../../src/events/adapters/connection.ts";
import { createNodeBus } from "../../src/events/adapters/node-bus.ts";
import type { NodeBus } from "../../src/events/bus.ts";
import { nodeInboxPrefix } from "../../src/events/subjects.ts";
import { systemClock } from "../../src/kit/clock.ts";
import { silentLog } from "../../src/kit/log.ts";
import { systemRandom } from "../../src/kit/random.ts";
import { nodeConfig } from "./support/bench-node.ts";
import { Fleet, trustDomain } from "./support/fleet.ts";
import { median, type Result } from "./support/stats.ts";

const batch = 50;
const roundMs = 2000;
const rounds = 5;
const inFlight = 4;

type Enrolled = Awaited<ReturnType<typeof identityOf>>;

/** A node that asks without pause, in full batches: how many SVIDs a second does one issuer sign? */
export async function signing(): Promise<Result> {
  await using fleet = await Fleet.start([]);
  const { id, revision } = await fleet.createEntry(`spiffe://${trustDomain}/web`);
  const items = await Promise.all(
    Array.from({ length: batch }, async (): Promise<SignItem> => {
      const csr = Buffer.from(await createCsr(await nodeKeyMaker.p256())).toString("base64");
      return { entry: id, revision: BigInt(revision), purpose: { kind: "kept-warm" }, csr };
    }),
  );
  const node = await enrol(fleet);
  const bus = await connect(node);
  const rates: number[] = [];
  const baseline: number[] = [];
  try {
    await signFor(roundMs, { node, bus, items });
    for (let round = 0; round < rounds; round += 1) {
      baseline.push(plainSignatures(roundMs / 4));
      rates.push(await signFor(roundMs, { node, bus, items }));
    }
  } finally {
    await bus.close();
  }
  const share = median(rates) / median(baseline);
  return {
    name: "signing",
    rows: [
      { what: "SVIDs through the issuer", unit: "/s", n: rounds, median: median(rates) },
      { what: "baseline: P-256 signatures", unit: "/s", n: rounds, median: median(baseline) },
      { what: "SVIDs / plain signatures", unit: "x", n: rounds, median: share },
    ],
    notes: [
      `Batches of ${batch}, ${inFlight} in flight, over NATS with TLS: request and CSR proof, lint, audit record on disk and stream, signature, signed reply.`,
      "Baseline: node:crypto's sign() on one thread of this process, nothing else.",
    ],
  };
}

/** SVIDs a second over a while. */
async function signFor(
  durationMs: number,
  asker: { readonly node: Enrolled; readonly bus: NodeBus; readonly items: readonly SignItem[] },
): Promise<number> {
  const begun = performance.now();
  let signed = 0;
  const ask = async (): Promise<void> => {
    while (performance.now() - begun < durationMs) signed += await signBatch(asker);
  };
  await Promise.all(Array.from({ length: inFlight }, ask));
  return (signed * 1000) / (performance.now() - begun);
}

async function signBatch(asker: {
  readonly node: Enrolled;
  readonly bus: NodeBus;
  readonly items: readonly SignItem[];
}): Promise<number> {
  const { node, bus, items } = asker;
  const { identity, client } = node;
  const stamp = client.stamp(identity.id);
  const { answer } = await client.ask({
    kind: "sign-request",
    answer: "sign-reply",
    payload: (at) => ({ ...stamp, at, highest: null, items }),
    signer: identity.signer,
    send: (bytes, timeoutMs) => bus.request("sign", bytes, { timeoutMs }),
  });
  const { results } = answer.payload;
  const refused = results.find((result) => !result.ok);
  if (refused !== undefined) throw new Error(`the issuer refused: ${JSON.stringify(refused)}`);
  return results.length;
}

/** Signatures a second of one thread over bytes of a to-be-signed certificate's length. */
function plainSignatures(durationMs: number): number {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const bytes = randomBytes(400);
  const begun = performance.now();
  let signed = 0;
  for (; performance.now() - begun < durationMs; signed += 1) sign("sha256", bytes, privateKey);
  return (signed * 1000) / (performance.now() - begun);
}

async function enrol(fleet: Fleet): Promise<Enrolled> {
  const { joinString, enrolmentUrl } = await fleet.joinToken("asker");
  const config = nodeConfig(join(fleet.folder, "asker"), enrolmentUrl);
  return await identityOf({ config, log: silentLog, stop: new AbortController() }, joinString);
}

async function connect({ identity }: Enrolled): Promise<NodeBus> {
  const connection = await connectBus({
    servers: identity.kept.bus.servers,
    nkeySeed: Buffer.from(identity.kept.busSeed).toString("utf8"),
    pins: () => identity.kept.bus.brokerPins,
    name: identity.id,
    inboxPrefix: nodeInboxPrefix(identity.token),
    clock: systemClock,
    random: systemRandom,
    log: silentLog,
  });
  return createNodeBus({ connection, node: identity.token, trustDomain });
}
