import { generateKeyPairSync, randomBytes, sign } from "node:crypto";
import type { ServiceError } from "@grpc/grpc-js";
import type {
  ListAuthoritiesResponse,
  TaintAuthorityResponse,
} from "../../src/wire/herald/v1/authorities.ts";
import { Fleet, type FleetNode, trustDomain } from "./support/fleet.ts";
import { readLogLine } from "./support/node-log.ts";
import { median, type Result, timesRow } from "./support/stats.ts";

const svids = 1000;
const samples = 3;

interface Sample {
  /** Another authority signs: the Envoy had acknowledged its root. */
  readonly activated: number;
  /** The Envoy has acknowledged every SVID, signed anew. */
  readonly all: number;
  /** The tainted root is in no bundle any more. */
  readonly done: number;
}

/**
 * One node with 1,000 live SVIDs, all served to one Envoy by a stream each. `ca taint` of the authority that signed them: how long until the
 * Envoy has taken every one anew?
 */
export async function taint(): Promise<Result> {
  await using fleet = await Fleet.start(["n1"]);
  const ids = Array.from({ length: svids }, (_, index) => `spiffe://${trustDomain}/w/${index}`);
  for (const id of ids) await fleet.createEntry(id);
  const first = acknowledgements(fleet.node, ids);
  await fleet.addEnvoy("e1", fleet.node, ids);
  await first.all;
  const times: Sample[] = [];
  const baseline: number[] = [];
  for (let round = 0; round < samples; round += 1) {
    baseline.push(plainWork());
    times.push(await sample(fleet, ids));
  }
  const all = times.map((one) => one.all);
  return {
    name: "taint",
    rows: [
      timesRow(`ca taint -> ${svids} SVIDs signed anew and ACKed by Envoy`, all),
      timesRow(
        "  -> another authority signs",
        times.map((one) => one.activated),
      ),
      timesRow(
        "  -> the tainted root is gone",
        times.map((one) => one.done),
      ),
      timesRow(`baseline: ${svids} keys, CSR and certificate signatures`, baseline),
      {
        what: "ca taint -> all ACKed / baseline",
        unit: "x",
        n: samples,
        median: median(all) / median(baseline),
      },
    ],
    notes: [
      `One node daemon, one Envoy with ${svids} clusters and as many SDS streams; the tainted authority is the active one.`,
      "Baseline: node:crypto on one thread, a P-256 key and two signatures for each SVID, nothing else.",
    ],
  };
}

async function sample(fleet: Fleet, ids: readonly string[]): Promise<Sample> {
  const { authorities } = await listed(fleet);
  const active = authorities.find(({ status }) => status === "active");
  if (active === undefined) throw new Error("no authority is active");
  const renewed = acknowledgements(fleet.node, ids);
  const begun = performance.now();
  const [steps] = await Promise.all([follow(fleet, active.id), renewed.all]);
  return {
    activated: steps.activated - begun,
    all: renewed.at() - begun,
    done: steps.done - begun,
  };
}

async function follow(
  fleet: Fleet,
  id: string,
): Promise<{ readonly activated: number; readonly done: number }> {
  let activated: number | undefined;
  const stream = fleet.authorities.taintAuthority({ id });
  for await (const { progress } of stream as AsyncIterable<TaintAuthorityResponse>) {
    if (progress?.step !== "prepare") activated ??= performance.now();
    if (progress?.step === "done") return { activated: activated ?? 0, done: performance.now() };
  }
  throw new Error("the stream ended before the root was gone");
}

/** Resolves when each of these was acknowledged from now on; the entries' SVIDs are young, so nothing but the order renews them. */
function acknowledgements(
  node: FleetNode,
  ids: readonly string[],
): { readonly all: Promise<void>; at(): number } {
  const missing = new Set(ids);
  let at = 0;
  const isLast = ({ text }: { readonly text: string }): boolean => {
    if (!text.includes('"secrets acknowledged"')) return false;
    for (const { name } of readLogLine({ text, at: 0 })?.secrets ?? []) missing.delete(name);
    return missing.size === 0;
  };
  const all = node.program
    .next(isLast, `${ids.length} SVIDs are acknowledged`, 120_000)
    .then((line) => {
      at = line.at;
    });
  return { all, at: () => at };
}

/** Milliseconds. */
function plainWork(): number {
  const bytes = randomBytes(400);
  const begun = performance.now();
  for (let index = 0; index < svids; index += 1) {
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    sign("sha256", bytes, privateKey);
    sign("sha256", bytes, privateKey);
  }
  return performance.now() - begun;
}

async function listed(fleet: Fleet): Promise<ListAuthoritiesResponse> {
  return await new Promise((resolve, reject) => {
    fleet.authorities.listAuthorities({}, (error: ServiceError | null, response) =>
      error === null ? resolve(response) : reject(error),
    );
  });
}
