import { spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { logged } from "../../src/daemon/supervisor.ts";
import { Fleet, trustDomain } from "./support/fleet.ts";
import { tellsOf } from "./support/node-log.ts";
import { median, type Result, timesRow } from "./support/stats.ts";

const samples = 10;
const entries = 20;

interface Sample {
  /** The socket answers. */
  readonly listens: number;
  /** Envoy has been sent its SVID again. */
  readonly served: number;
  /** The node is connected to the bus and follows the issuer. */
  readonly follows: number;
}

/** A node daemon is killed and started again at once: how long until Envoy, which reconnects by itself, is served out of the cache? */
export async function restart(): Promise<Result> {
  await using fleet = await Fleet.start(["n1"]);
  const id = `spiffe://${trustDomain}/web`;
  const ready = fleet.node.program.next(
    (line) => tellsOf(line, "secrets acknowledged", id),
    "Envoy takes its first SVID",
  );
  await fleet.addEnvoy("e1", fleet.node, [id]);
  await fleet.createEntry(id);
  await ready;
  // A cache with more in it than the one SVID.
  for (let index = 1; index < entries; index += 1)
    await fleet.createEntry(`spiffe://${trustDomain}/other/${index}`);
  await sleep(2000);
  const times: Sample[] = [];
  for (let round = 0; round < samples; round += 1) {
    times.push(await sample(fleet, id));
    await sleep(1000);
  }
  const served = times.map((one) => one.served);
  const bare = await bareStarts();
  return {
    name: "restart",
    rows: [
      timesRow("SIGKILL, start -> Envoy is sent its SVID", served),
      timesRow(
        "  -> socket answers",
        times.map((one) => one.listens),
      ),
      timesRow(
        "  -> follows the issuer again",
        times.map((one) => one.follows),
      ),
      timesRow("baseline: a Node that does nothing, start to end", bare),
      {
        what: "SIGKILL, start -> SVID / a bare Node",
        unit: "x",
        n: samples,
        median: median(served) / median(bare),
      },
    ],
    notes: [
      `Runs from source, so the types are stripped at each start; a cache of ${entries} SVIDs. Envoy tries again every 50 to 100 ms.`,
    ],
  };
}

async function sample(fleet: Fleet, id: string): Promise<Sample> {
  const { program } = fleet.node;
  const begun = performance.now();
  await program.stop("SIGKILL");
  const listens = program.next(
    ({ text }) => logged(text, "msg") === "node answers on its socket",
    "the socket answers",
  );
  const served = program.next((line) => tellsOf(line, "secrets sent", id), "the SVID is sent");
  const follows = program.start();
  const [{ at: first }, { at: second }, { at: third }] = await Promise.all([
    listens,
    served,
    follows,
  ]);
  return { listens: first - begun, served: second - begun, follows: third - begun };
}

async function bareStarts(): Promise<readonly number[]> {
  const times: number[] = [];
  for (let round = 0; round < samples; round += 1) {
    const begun = performance.now();
    await once(spawn(process.execPath, ["-e", "0"], { stdio: "ignore" }), "exit");
    times.push(performance.now() - begun);
  }
  return times;
}
