import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import {
  type ApplyEntriesResponse,
  type ApplySummary,
  EntrySpec,
} from "../../src/wire/herald/v1/entries.ts";
import { Fleet, trustDomain } from "./support/fleet.ts";
import { tellsOf } from "./support/node-log.ts";
import { median, type Result, timesRow } from "./support/stats.ts";

const howMany = 10_000;
const rounds = 5;
const inMessage = 100;
const idleMs = 5000;

const marker = `spiffe://${trustDomain}/marker`;

/** Milliseconds after the apply was called. */
interface Sample {
  readonly answered: number;
  /** The node has taken over all of it, and has had the one entry signed anew that somebody here holds. */
  readonly current: number;
  /** The slowest answer of the node's health page meanwhile: what a stream would have waited for. */
  readonly stall: number;
}

/** Ten thousand entries change by one apply: how long does it take, who waits meanwhile, and how long does an issuer need to start on them? */
export async function entries(): Promise<Result> {
  await using fleet = await Fleet.start(["n1"]);
  const health = healthOf(fleet);
  const emptyStart = await restartIssuer(fleet);
  await fleet.addEnvoy("e1", fleet.node, [marker]);
  const times: Sample[] = [];
  const plain: number[] = [];
  for (let round = 0; round <= rounds; round += 1) {
    const declared = declaration(round);
    plain.push(plainTime(declared));
    times.push(await sample(fleet, declared, health));
    await sleep(1500);
  }
  const starts: number[] = [];
  for (let round = 0; round < rounds; round += 1) starts.push(await restartIssuer(fleet));
  const idle = await slowestAnswer(health, AbortSignal.timeout(idleMs));
  const [first, ...updates] = times;
  const answered = updates.map((one) => one.answered);
  return {
    name: "entries",
    rows: [
      timesRow(`apply that creates ${howMany} -> answered`, [first?.answered ?? Number.NaN]),
      timesRow(`apply that updates ${howMany} -> answered`, answered),
      timesRow(
        "  -> the node is up to date",
        updates.map((one) => one.current),
      ),
      timesRow(
        "  slowest answer of the node meanwhile",
        updates.map((one) => one.stall),
      ),
      timesRow(`  slowest answer in ${idleMs / 1000} s without an apply`, [idle]),
      timesRow(`issuer with ${howMany}: start -> ready`, starts),
      timesRow("issuer with none: start -> ready", [emptyStart]),
      timesRow("baseline: JSON and SHA-256 of the same", plain),
      {
        what: "apply / baseline",
        unit: "x",
        n: updates.length,
        median: median(answered) / median(plain),
      },
    ],
    notes: [
      "The entries are for all nodes, on demand, for a user who is not here; one more is this user's, and an Envoy holds its SVID.",
      "Baseline: JSON.stringify and a hash a page of 32 in this process, nothing else. An issuer that starts is started by SIGKILL and a new process, from source.",
    ],
  };
}

function declaration(round: number): readonly EntrySpec[] {
  const blank = EntrySpec.decode(new Uint8Array());
  const common = { ...blank, hint: `round ${round}` };
  const others = Array.from({ length: howMany - 1 }, (_, at) => ({
    ...common,
    name: `w${at}`,
    spiffeId: `spiffe://${trustDomain}/shop/service-${at}`,
    selectors: ["unix:uid:3999999999", `docker:label:app:service-${at}`],
    dnsNames: [`service-${at}.shop.internal`],
    onDemand: true,
  }));
  const selectors = [`unix:uid:${process.getuid?.() ?? 0}`];
  return [...others, { ...common, name: "marker", spiffeId: marker, selectors }];
}

async function sample(
  fleet: Fleet,
  declared: readonly EntrySpec[],
  health: string,
): Promise<Sample> {
  const said = fleet.node.program.next(
    (line) => tellsOf(line, "SVIDs issued", marker),
    "the marker's SVID is issued",
    60_000,
  );
  const stop = new AbortController();
  const stalled = slowestAnswer(health, stop.signal);
  const begun = performance.now();
  const summary = await apply(fleet, declared);
  const answered = performance.now() - begun;
  const current = (await said).at - begun;
  stop.abort();
  const changed = summary.created + summary.updated;
  if (changed !== howMany) throw new Error(`the apply changed ${changed} entries`);
  return { answered, current, stall: await stalled };
}

async function apply(fleet: Fleet, declared: readonly EntrySpec[]): Promise<ApplySummary> {
  const call = fleet.entries.applyEntries();
  const header = { set: "bench", prune: true, dryRun: false, allow: [] };
  call.write({ declaration: header, entries: [] });
  for (let start = 0; start < declared.length; start += inMessage)
    call.write({ declaration: undefined, entries: declared.slice(start, start + inMessage) });
  call.end();
  let summary: ApplySummary | undefined;
  for await (const message of call as AsyncIterable<ApplyEntriesResponse>)
    summary = message.summary ?? summary;
  if (summary === undefined) throw new Error("the issuer said nothing");
  return summary;
}

/** Asks again and again, one at a time. */
async function slowestAnswer(url: string, signal: AbortSignal): Promise<number> {
  let slowest = 0;
  while (!signal.aborted) {
    const begun = performance.now();
    await (await fetch(url)).text();
    slowest = Math.max(slowest, performance.now() - begun);
    await sleep(5);
  }
  return slowest;
}

const listening = z.object({ msg: z.string(), metrics: z.string() });

function healthOf(fleet: Fleet): string {
  for (const { text } of fleet.node.program.lines) {
    if (!text.startsWith("{") || !text.includes("node answers on its socket")) continue;
    return `${listening.parse(JSON.parse(text)).metrics}/healthz`;
  }
  throw new Error("the node did not say where its health page is");
}

async function restartIssuer({ issuer }: Fleet): Promise<number> {
  await issuer.stop("SIGKILL");
  const begun = performance.now();
  const { at } = await issuer.start();
  await sleep(2000);
  return at - begun;
}

function plainTime(declared: readonly EntrySpec[]): number {
  const begun = performance.now();
  for (let start = 0; start < declared.length; start += 32) {
    const page = declared.slice(start, start + 32).map((spec) => ({ ...spec, expiresAt: "0" }));
    createHash("sha256").update(JSON.stringify(page)).digest();
  }
  return performance.now() - begun;
}
