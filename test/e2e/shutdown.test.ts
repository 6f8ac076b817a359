import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { createInterface } from "node:readline";
import { expect, onTestFinished, test } from "vitest";
import { type Fleet, type FleetNode, heraldMain } from "../../demo/fleet.ts";
import { logged } from "../../src/daemon/supervisor.ts";
import { fleetOfTest } from "../support/fleet.ts";

interface Daemons {
  readonly fleet: Fleet;
  readonly issuer: ChildProcess;
  readonly node: ChildProcess;
  readonly nodeOf: FleetNode;
}

/** A daemon whose end can be looked at; resolves when it has logged `message`. */
async function start(args: readonly string[], message: string): Promise<ChildProcess> {
  const child = spawn(process.execPath, [heraldMain, ...args], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  for await (const line of createInterface({ input: child.stderr }))
    if (logged(line, "msg") === message) break;
  child.stderr.resume();
  return child;
}

async function daemons(): Promise<Daemons> {
  const fleet = await fleetOfTest();
  await fleet.startNats();
  await fleet.startIssuer();
  const nodeOf = await fleet.addNode("one");
  await fleet.issuer.stop();
  const issuer = await start(["issuer", "--config", fleet.issuerConfig], "issuer is ready");
  const node = await start(["node", "--config", nodeOf.config], "node follows the issuer");
  return { fleet, issuer, node, nodeOf };
}

const beforehand: readonly (readonly [what: string, prepare: (fleet: Fleet) => Promise<void>])[] = [
  ["with NATS there", () => Promise.resolve()],
  ["with NATS gone", (fleet) => fleet.nats.stop("SIGKILL")],
  [
    "with NATS going at the same moment",
    (fleet) => {
      fleet.nats.signal("SIGTERM");
      return Promise.resolve();
    },
  ],
];

test.for(beforehand)(
  "SIGTERM ends issuer and node with 0, and their sockets: %s",
  async ([, prepare]) => {
    const { fleet, issuer, node, nodeOf } = await daemons();
    await prepare(fleet);
    const ended = [once(issuer, "exit"), once(node, "exit")];
    for (const child of [issuer, node]) child.kill("SIGTERM");
    expect(await Promise.all(ended)).toEqual([
      [0, null],
      [0, null],
    ]);
    expect(existsSync(nodeOf.socket)).toBe(false);
    expect(existsSync(fleet.adminAddress.slice("unix://".length))).toBe(false);
  },
);
