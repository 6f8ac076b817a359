import { setTimeout as sleep } from "node:timers/promises";
import type { RotateAuthorityResponse } from "../../src/wire/herald/v1/authorities.ts";
import { barePushTimes, syncTimes } from "./support/baselines.ts";
import { Fleet, trustDomain } from "./support/fleet.ts";
import { readLogLine } from "./support/node-log.ts";
import type { Line } from "./support/program.ts";
import { median, type Result, timesRow } from "./support/stats.ts";

const samples = 15;
const warmUps = 2;
const envoysOnEach = 2;

interface Sample {
  /** The answer's first message: the new root is prepared, signed and published. */
  readonly prepared: number;
  /** The first Envoy has acknowledged the new bundle. */
  readonly first: number;
  /** Every Envoy has. */
  readonly all: number;
  /** The rotation is done: every SVID is signed anew. */
  readonly done: number;
}

/** Two nodes with two Envoys each. `ca rotate` is called: how long until every Envoy has accepted the new bundle? */
export async function rotationToEnvoy(): Promise<Result> {
  await using fleet = await Fleet.start(["n1", "n2"]);
  const envoys: Envoys = new Map();
  for (const node of fleet.nodes) {
    for (let index = 0; index < envoysOnEach; index += 1) {
      const name = `${node.name}-${index}`;
      const id = `spiffe://${trustDomain}/${name}`;
      await fleet.createEntry(id);
      const acknowledged = node.program.next(
        (line) => acknowledgement(line)?.bundle !== undefined,
        `${name} takes its first bundle`,
      );
      const { program } = await fleet.addEnvoy(name, node, [id]);
      await acknowledged;
      envoys.set(program.pid, node.program);
    }
  }
  await sleep(1000);
  const times: Sample[] = [];
  for (let round = 0; round < warmUps + samples; round += 1)
    times.push(await sample(fleet, envoys));
  const counted = times.slice(warmUps);
  const all = counted.map((one) => one.all);
  const bare = await barePushTimes(fleet.folder, 50);
  return {
    name: "rotation-to-envoy",
    rows: [
      timesRow(`ca rotate -> bundle ACKed by all ${envoys.size} Envoys`, all),
      timesRow(
        "  -> new root prepared",
        counted.map((one) => one.prepared),
      ),
      timesRow(
        "  -> first Envoy ACKed",
        counted.map((one) => one.first),
      ),
      timesRow(
        "  -> rotation done",
        counted.map((one) => one.done),
      ),
      timesRow("baseline: bare push -> Envoy ACK", bare),
      timesRow("one append with fdatasync", await syncTimes(fleet.folder, 50)),
      {
        what: "ca rotate -> all ACKed / bare push",
        unit: "x",
        n: samples,
        median: median(all) / median(bare),
      },
    ],
    notes: [
      `${fleet.nodes.length} node daemons with ${envoysOnEach} Envoys each; a rotation begins when the one before is done.`,
      "Baseline: a bare gRPC server that pushes a finished certificate to one Envoy.",
    ],
  };
}

/** Process ids of Envoys, with the node daemon that logs for each. */
type Envoys = Map<number, Fleet["node"]["program"]>;

async function sample(fleet: Fleet, envoys: Envoys): Promise<Sample> {
  const acknowledged = [...envoys].map(async ([pid, node]) => {
    const what = `the Envoy with pid ${pid} takes the new bundle`;
    const isNew = (line: Line): boolean => {
      const seen = acknowledgement(line);
      return seen?.pid === pid && seen.bundle !== undefined;
    };
    return (await node.next(isNew, what)).at;
  });
  const begun = performance.now();
  const { prepared, done } = await rotate(fleet);
  const at = await Promise.all(acknowledged);
  return {
    prepared: prepared - begun,
    first: Math.min(...at) - begun,
    all: Math.max(...at) - begun,
    done: done - begun,
  };
}

/** When the answer began, and when it said that all was done. */
async function rotate(fleet: Fleet): Promise<{ readonly prepared: number; readonly done: number }> {
  let prepared: number | undefined;
  const stream = fleet.authorities.rotateAuthority({});
  for await (const { progress } of stream as AsyncIterable<RotateAuthorityResponse>) {
    prepared ??= performance.now();
    if (progress?.step === "done") return { prepared, done: performance.now() };
  }
  throw new Error("the rotation's stream ended before it was done");
}

/** The consumer that acknowledged, and the bundle's sequence if it was one. */
function acknowledgement(
  line: Line,
): { readonly pid: number; readonly bundle: string | undefined } | undefined {
  if (!line.text.includes('"secrets acknowledged"')) return undefined;
  const read = readLogLine(line);
  if (read?.pid === undefined) return undefined;
  return { pid: read.pid, bundle: read.secrets?.find(({ name }) => name === "ROOTCA")?.of };
}
