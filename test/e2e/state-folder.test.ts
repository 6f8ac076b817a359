import { appendFileSync, cpSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, onTestFinished, test } from "vitest";
import { eventually } from "../../demo/eventually.ts";
import { Fleet, type FleetNode } from "../../demo/fleet.ts";
import { closeFleet, fleetOptions } from "../support/fleet.ts";
import { expectTold, runHerald } from "../support/fleet-cli.ts";

describe("a state folder that is broken", () => {
  let fleet: Fleet;
  let node: FleetNode;
  beforeAll(async () => {
    fleet = await Fleet.create(fleetOptions());
    await fleet.startNats();
    await fleet.startIssuer();
    node = await fleet.addNode("one");
    await fleet.startNode(node);
    await eventually("the node is well", () => fleet.isWell(node));
    await Promise.all([node.program.stop(), fleet.issuer.stop()]);
    return () => closeFleet(fleet);
  });

  interface Damage {
    readonly what: string;
    readonly file: string;
    /** What is written instead; nothing for a file that is missing. */
    readonly text?: string;
    readonly happened: RegExp;
    readonly cure: RegExp;
  }

  const ofIssuer: readonly Damage[] = [
    {
      what: "no control key",
      file: "keys/control.key",
      happened: /lacks keys\/control\.key/,
      cure: /herald init/,
    },
    { what: "no root", file: "root.pub", happened: /lacks root\.pub/, cure: /herald init/ },
    {
      what: "another sealing key",
      file: "keys/sealing.key",
      text: "x".repeat(32),
      happened: /keys\/control\.key.*sealed under another key/,
      cure: /backup/,
    },
    {
      what: "no sealing key",
      file: "keys/sealing.key",
      happened: /lacks keys\/sealing\.key/,
      cure: /backup/,
    },
    {
      what: "a damaged certificate",
      file: "control.cert",
      text: "junk",
      happened: /control\.cert/,
      cure: /backup/,
    },
    { what: "a damaged epoch", file: "epoch", text: "junk", happened: /epoch/, cure: /backup/ },
    {
      what: "a damaged journal",
      file: "journal",
      text: "junk\njunk\n",
      happened: /journal, line 1/,
      cure: /backup/,
    },
  ];

  test.for(ofIssuer)("of an issuer: $what", async (damage) => {
    const copy = join(fleet.folder, "damaged");
    cpSync(join(fleet.folder, "issuer"), copy, { recursive: true });
    onTestFinished(() => rmSync(copy, { recursive: true }));
    breakFile(join(copy, damage.file), damage.text);
    expectTold(await runHerald(["issuer", "--config", join(copy, "issuer.yaml")]), damage);
  });

  const ofNode: readonly Damage[] = [
    {
      what: "a damaged identity",
      file: "identity.json",
      text: "junk",
      happened: /identity\.json/,
      cure: /enrol/,
    },
  ];

  test.for(ofNode)("of a node: $what", async (damage) => {
    const copy = join(fleet.folder, "other");
    cpSync(node.folder, copy, { recursive: true });
    onTestFinished(() => rmSync(copy, { recursive: true }));
    breakFile(join(copy, "state", damage.file), damage.text);
    expectTold(await runHerald(["node", "--config", join(copy, "node.yaml")]), damage);
  });

  test("what can be had again does not keep a node from starting", async () => {
    for (const name of ["state", "consumers.json"])
      writeFileSync(join(node.folder, "state", name), "junk");
    mkdirSync(join(node.folder, "state", "svids"), { recursive: true });
    appendFileSync(join(node.folder, "state", "svids", "junk.json"), "junk");
    await fleet.startIssuer();
    await fleet.startNode(node);
    await eventually("the node is well", () => fleet.isWell(node));
  });
});

function breakFile(path: string, text: string | undefined): void {
  if (text === undefined) rmSync(path);
  else writeFileSync(path, text);
}
