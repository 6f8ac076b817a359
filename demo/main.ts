// `npm run demo`: mutual TLS between real Envoys, kept through a CA rotation and an outage, in a minute on one machine.
import { mkdirSync, mkdtempSync, readdirSync, rmdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { reasonOf } from "../src/kit/errors.ts";
import { Fleet } from "./fleet.ts";
import { claimLine, figuresTable, type Outcome, outcomeJson } from "./report.ts";
import { type Claim, Story } from "./story.ts";

const usage = `npm run demo [-- --keep] [--json] [--dir DIR]
  --keep      leave everything running at the end, and the folder afterwards, until Ctrl-C
  --json      print the figures as a line of JSON too
  --dir DIR   where to put the demo's own folder (default: .herald in the checkout)
`;

/** Below the demo's folder the longest path of a socket has this many bytes; a socket's whole path may have 107 (unix(7)). */
const longestBelow = "/issuer/admin.sock".length;

const root = fileURLToPath(new URL("..", import.meta.url));
process.exitCode = await main();

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      keep: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
      dir: { type: "string", default: join(root, ".herald") },
      help: { type: "boolean", default: false, short: "h" },
    },
  });
  if (values.help) {
    process.stdout.write(usage);
    return 0;
  }
  const [envoy, natsServer] = [process.env["HERALD_ENVOY"], process.env["HERALD_NATS_SERVER"]];
  if (envoy === undefined || natsServer === undefined) {
    process.stderr.write(
      "Start it with `npm run demo`: that finds Envoy and nats-server, or installs them.\n",
    );
    return 2;
  }
  const { folder, remove } = freshFolder(resolve(values.dir));
  const fleet = await Fleet.create({ folder, envoy, natsServer });
  const signals = onSignal(fleet, remove);
  let outcome: Outcome;
  try {
    outcome = await play(fleet, { ...values, untilAsked: signals.untilAsked });
  } finally {
    await fleet.close();
  }
  process.stdout.write(ending(outcome, folder, values.keep));
  if (outcome.ok && !values.keep) remove();
  return outcome.ok ? 0 : 1;
}

/** The whole demo on a fleet that is not up yet; what it started is left running. */
async function play(
  fleet: Fleet,
  options: {
    readonly keep: boolean;
    readonly json: boolean;
    readonly untilAsked: () => Promise<void>;
  },
): Promise<Outcome> {
  process.stdout.write(`Herald demo: every program is a process of its own, on this machine.
"web" calls "api" through two Envoys, which get their identities from two node daemons. Logs: ${relative(process.cwd(), fleet.logOf("*"))}

`);
  const story = new Story(fleet, (text) => process.stdout.write(`  … ${text}\n`));
  const outcome = await tell(story);
  process.stdout.write(figuresTable(outcome.figures));
  if (options.json) process.stdout.write(outcomeJson(outcome));
  if (options.keep && outcome.ok) {
    process.stdout.write(addresses(story));
    await options.untilAsked();
  }
  return outcome;
}

/** Shows one claim after the other; the first that does not hold is the last. */
async function tell(story: Story): Promise<Outcome> {
  const claims: Outcome["claims"][number][] = [];
  for (const claim of story.claims()) {
    const shown = await show(claim);
    claims.push(shown);
    process.stdout.write(claimLine(shown.claim, shown.held, shown.told));
    if (!shown.held) break;
  }
  await story.end();
  return { ok: claims.every(({ held }) => held), claims, figures: story.figures };
}

async function show(claim: Claim): Promise<Outcome["claims"][number]> {
  try {
    return { claim: claim.title, held: true, told: await claim.show() };
  } catch (thrown) {
    return { claim: claim.title, held: false, told: reasonOf(thrown) };
  }
}

/** A new folder, near enough to the root of the file system for sockets, and how to leave no trace of it. */
function freshFolder(wanted: string): { readonly folder: string; readonly remove: () => void } {
  const fits = Buffer.byteLength(join(wanted, "demo-XXXXXX")) + longestBelow <= 107;
  const parent = fits ? wanted : tmpdir();
  const madeParent = mkdirSync(parent, { recursive: true }) !== undefined;
  const folder = mkdtempSync(join(parent, fits ? "demo-" : "herald-demo-"));
  return {
    folder,
    remove() {
      rmSync(folder, { recursive: true, force: true });
      if (madeParent && readdirSync(parent).length === 0) rmdirSync(parent);
    },
  };
}

/** Ctrl-C and its like end the demo at any moment and leave nothing; once it only waits, they end the waiting. */
function onSignal(fleet: Fleet, remove: () => void): { readonly untilAsked: () => Promise<void> } {
  const { promise, resolve } = Promise.withResolvers<void>();
  let isWaiting = false;
  let asked = false;
  const onAsked = (code: number): void => {
    // The terminal tells every process of the group, and tools/run.mjs passes it on: the second one is an echo.
    if (asked) return;
    asked = true;
    process.stdout.write("\nstopping\n");
    if (isWaiting) {
      resolve();
      return;
    }
    void fleet
      .close()
      .then(remove)
      .finally(() => process.exit(code));
  };
  process.on("SIGINT", () => onAsked(130));
  process.on("SIGTERM", () => onAsked(143));
  process.on("SIGHUP", () => onAsked(129));
  return {
    untilAsked() {
      isWaiting = true;
      return promise;
    },
  };
}

function addresses(story: Story): string {
  const { fleet, web, api, nodeA, nodeB } = story.stage;
  return `
Everything stays up until Ctrl-C:
  call api as web      curl http://127.0.0.1:${web.port}/
  web's Envoy          ${web.admin}      api's Envoy  ${api.admin}
  node a               unix://${nodeA.socket}   ${nodeA.http.url}/metrics
  node b               unix://${nodeB.socket}   ${nodeB.http.url}/metrics
  the issuer           export HERALD_ADMIN=${fleet.adminAddress}

Try:  bin/herald entry list
      bin/herald ca rotate
      bin/herald events tail
      bin/herald fetch x509 --socket unix://${nodeA.socket}
`;
}

function ending({ ok, claims }: Outcome, folder: string, isKept: boolean): string {
  const where = relative(process.cwd(), folder);
  if (!ok) {
    const failed = claims.find(({ held }) => !held)?.claim;
    return `\nThe claim "${failed}" does not hold. What each program said: ${join(where, "log")}\n`;
  }
  if (isKept) return `The folder stays: ${where}\n`;
  return `
Every claim held; nothing is left behind. Next:
  npm run demo -- --keep      the same, and it stays up to be played with
  bin/herald dev --dir DIR    a Herald of your own: NATS, an issuer and a node
  docs/architecture.md        how it works
`;
}
