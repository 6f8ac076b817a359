import { setTimeout as sleep } from "node:timers/promises";
import { barePushTimes, syncTimes } from "./support/baselines.ts";
import { Fleet, trustDomain } from "./support/fleet.ts";
import { tellsOf } from "./support/node-log.ts";
import { median, type Result, timesRow } from "./support/stats.ts";

const samples = 50;
const warmUps = 5;

/** When each thing had happened, milliseconds after CreateEntry was called. */
interface Sample {
  readonly created: number;
  readonly issued: number;
  readonly sent: number;
  readonly acknowledged: number;
}

/** A real Envoy has asked for identities that do not exist. One entry is created: how long until Envoy has accepted its SVID? */
export async function entryToEnvoy(): Promise<Result> {
  await using fleet = await Fleet.start(["n1"]);
  const ids = Array.from(
    { length: warmUps + samples },
    (_, index) => `spiffe://${trustDomain}/bench/${index}`,
  );
  await fleet.addEnvoy("e1", fleet.node, ids);
  await sleep(1000);
  const times: Sample[] = [];
  for (const id of ids) {
    times.push(await sample(fleet, id));
    // Each is alone: what the last one left to do (head, acknowledgement, events) is over, and the next one's head goes out at once.
    await sleep(1200);
  }
  const counted = times.slice(warmUps);
  const bare = await barePushTimes(fleet.folder, samples);
  const total = counted.map((one) => one.acknowledged);
  return {
    name: "entry-to-envoy",
    rows: [
      timesRow("entry create -> Envoy ACK", total),
      timesRow(
        "  -> create answered",
        counted.map((one) => one.created),
      ),
      timesRow(
        "  -> SVID at the node",
        counted.map((one) => one.issued),
      ),
      timesRow(
        "  -> sent to Envoy",
        counted.map((one) => one.sent),
      ),
      timesRow("baseline: bare push -> Envoy ACK", bare),
      timesRow("one append with fdatasync", await syncTimes(fleet.folder, samples)),
      {
        what: "entry create -> Envoy ACK / bare push",
        unit: "x",
        n: samples,
        median: median(total) / median(bare),
      },
    ],
    notes: [
      "Times count from just before CreateEntry is sent, until the node daemon's log line is read here.",
      "Baseline: a bare gRPC server that pushes a finished certificate to an Envoy of the same configuration.",
    ],
  };
}

async function sample(fleet: Fleet, id: string): Promise<Sample> {
  const { program } = fleet.node;
  const said = (message: string): Promise<number> =>
    program
      .next((line) => tellsOf(line, message, id), `"${message}" of ${id}`)
      .then(({ at }) => at);
  const told = [said("SVIDs issued"), said("secrets sent"), said("secrets acknowledged")] as const;
  const begun = performance.now();
  const created = fleet.createEntry(id).then(() => performance.now());
  const [at, issued, sent, acknowledged] = await Promise.all([created, ...told]);
  return {
    created: at - begun,
    issued: issued - begun,
    sent: sent - begun,
    acknowledged: acknowledged - begun,
  };
}
