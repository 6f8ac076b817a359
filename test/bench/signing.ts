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
import { type Cores, cpuMsOf, reserveCore } from "./support/cores.ts";
import { Fleet, trustDomain } from "./support/fleet.ts";
import { type GoRate, goBaseline } from "./support/go-baseline.ts";
import { median, type Result, type Row } from "./support/stats.ts";

const batch = 50;
/** Every CSR is of another key; a batch comes again only after all others. */
const batches = 40;
const roundMs = 2000;
const rounds = 5;
const inFlight = 8;

type Enrolled = Awaited<ReturnType<typeof identityOf>>;
type Batches = readonly (readonly SignItem[])[];

/** What the load asks with. */
interface Load {
  readonly node: Enrolled;
  readonly bus: NodeBus;
  readonly batches: Batches;
}

/** A node that asks without pause, in full batches: how many SVIDs a second does one issuer sign on one core? */
export async function signing(): Promise<Result> {
  const cores = reserveCore();
  try {
    await using fleet = await Fleet.start([], cores.measured);
    const node = await enrol(fleet);
    const bus = await connect(node);
    try {
      const load = { node, bus, batches: await makeBatches(fleet) };
      return await measure(fleet, cores, load);
    } finally {
      await bus.close();
    }
  } finally {
    cores.release();
  }
}

async function measure(fleet: Fleet, cores: Cores, load: Load): Promise<Result> {
  const go = await goBaseline(fleet.folder, cores.measured);
  const issuer: Rate[] = [];
  const plain: number[] = [];
  const baseline: GoRate[] = [];
  await signFor(roundMs, load);
  for (let round = 0; round < rounds; round += 1) {
    plain.push(plainSignatures(roundMs / 4));
    if (go !== undefined) baseline.push(await go(roundMs / 2));
    const cpuBefore = cpuMsOf(fleet.issuerPid);
    const { signed, perSecond } = await signFor(roundMs, load);
    const cpuMicros = ((cpuMsOf(fleet.issuerPid) - cpuBefore) * 1000) / signed;
    issuer.push({ perSecond, cpuMicros });
  }
  return {
    name: "signing",
    rows: [
      rateRow("SVIDs through the issuer", issuer),
      cpuRow("  CPU of the issuer for each", issuer),
      ...(go === undefined ? [] : againstGo(issuer, baseline)),
      { what: "baseline: P-256 signatures", unit: "/s", n: rounds, median: median(plain) },
    ],
    notes: [
      `Batches of ${batch}, ${inFlight} in flight, over NATS with TLS: request and CSR proof, lint, audit record on disk and stream, signature, signed reply, an event each.`,
      cores.note,
      go === undefined
        ? "No Go on this machine, so no baseline in Go (test/bench/go)."
        : "Go baseline: test/bench/go on the same core, in turns with the issuer: CSR read and checked, x509.CreateCertificate; nothing else.",
      "P-256 signatures: node:crypto's sign() on one thread of this process, nothing else.",
    ],
  };
}

interface Rate {
  readonly perSecond: number;
  readonly cpuMicros: number;
}

function rateRow(what: string, rates: readonly Rate[]): Row {
  const all = rates.map((rate) => rate.perSecond);
  return { what, unit: "/s", n: all.length, median: median(all), max: Math.max(...all) };
}

function cpuRow(what: string, rates: readonly Rate[]): Row {
  const all = rates.map((rate) => rate.cpuMicros);
  return { what, unit: "µs", n: all.length, least: Math.min(...all), median: median(all) };
}

function againstGo(issuer: readonly Rate[], baseline: readonly GoRate[]): readonly Row[] {
  // Round by round, since neighbours on a shared machine slow both.
  const shares = issuer.map(({ perSecond }, at) => perSecond / (baseline[at]?.perSecond ?? 0));
  return [
    rateRow("baseline: Go CreateCertificate loop", baseline),
    cpuRow("  CPU of Go for each", baseline),
    { what: "SVIDs / Go loop", unit: "x", n: shares.length, median: median(shares) },
  ];
}

async function makeBatches(fleet: Fleet): Promise<Batches> {
  const { id, revision } = await fleet.createEntry(`spiffe://${trustDomain}/web`);
  const made: SignItem[][] = [];
  for (let at = 0; at < batches; at += 1) {
    made.push(
      await Promise.all(
        Array.from({ length: batch }, async (): Promise<SignItem> => {
          const csr = Buffer.from(await createCsr(await nodeKeyMaker.p256())).toString("base64");
          return { entry: id, revision: BigInt(revision), purpose: { kind: "kept-warm" }, csr };
        }),
      ),
    );
  }
  return made;
}

/** SVIDs a second over a while. */
async function signFor(
  durationMs: number,
  load: Load,
): Promise<{ readonly signed: number; readonly perSecond: number }> {
  const begun = performance.now();
  let signed = 0;
  let asked = 0;
  const ask = async (): Promise<void> => {
    while (performance.now() - begun < durationMs) {
      const items = load.batches[asked % load.batches.length] ?? [];
      asked += 1;
      const answered = await signBatch(load, items);
      // Not `+= await`: that reads the sum before the wait, and what others added meanwhile would be lost.
      signed += answered;
    }
  };
  await Promise.all(Array.from({ length: inFlight }, ask));
  return { signed, perSecond: (signed * 1000) / (performance.now() - begun) };
}

async function signBatch({ node, bus }: Load, items: readonly SignItem[]): Promise<number> {
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
