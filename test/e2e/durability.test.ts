import { cpSync, rmSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { eventually } from "../../demo/eventually.ts";
import type { Fleet, FleetNode } from "../../demo/fleet.ts";
import { readLog } from "../../demo/logs.ts";
import { fleetOfTest } from "../support/fleet.ts";

/** A fleet with one node that follows its issuer. */
async function fleetWithNode(): Promise<{ readonly fleet: Fleet; readonly node: FleetNode }> {
  const fleet = await fleetOfTest();
  await fleet.startNats();
  await fleet.startIssuer();
  const node = await fleet.addNode("one");
  await fleet.startNode(node);
  await eventually("the node is well", () => fleet.isWell(node));
  return { fleet, node };
}

async function create(fleet: Fleet, node: FleetNode, name: string): Promise<string> {
  const entry = await fleet.admin((admin) =>
    admin.createEntry({ spiffeId: fleet.id(name), nodes: [node.spiffeId] }),
  );
  return entry.spiffeId;
}

async function entries(fleet: Fleet): Promise<readonly string[]> {
  const listed = await fleet.admin((admin) => admin.entries());
  return listed.map((entry) => entry.spiffeId);
}

const counts = z.object({ entries: z.number(), svids: z.number() });

async function hasSvid(node: FleetNode, spiffeId: string): Promise<boolean> {
  return (await readLog(node.log)).some(({ ids }) => ids?.includes(spiffeId) === true);
}

/** What the node is alarmed by, each once. Silence is no wonder where somebody was killed. */
async function alarms(node: FleetNode): Promise<ReadonlySet<string>> {
  const lines = await readLog(node.log);
  return new Set(lines.flatMap(({ alarm = "silence" }) => (alarm === "silence" ? [] : [alarm])));
}

describe("an issuer that is killed", () => {
  test("right after each `entry create` was answered: every entry is there, and reaches its node", async () => {
    const { fleet, node } = await fleetWithNode();
    const made: string[] = [];
    for (const round of Array(5).keys()) {
      made.push(await create(fleet, node, `kept-${round}`));
      await fleet.issuer.stop("SIGKILL");
      await fleet.startIssuer();
      expect((await entries(fleet)).toSorted()).toEqual(made);
    }
    for (const id of made) await eventually(`the node has ${id}`, () => hasSvid(node, id));
    expect(await alarms(node)).toEqual(new Set());
  });

  test("in the midst of many `entry create`: what was answered is there", async () => {
    const { fleet, node } = await fleetWithNode();
    const answered: string[] = [];
    const one = async (at: number): Promise<void> => {
      answered.push(await create(fleet, node, `many-${at}`));
      if (answered.length === 5) fleet.issuer.signal("SIGKILL");
    };
    const results = await Promise.allSettled(Array.from({ length: 40 }, (_, at) => one(at)));
    expect(results.some(({ status }) => status === "rejected")).toBe(true);
    expect(answered.length).toBeGreaterThanOrEqual(5);
    await fleet.issuer.stop();
    await fleet.startIssuer();
    const listed = await entries(fleet);
    expect(listed).toEqual(expect.arrayContaining(answered));
    await eventually("the node has an SVID for each", async () => {
      const health = counts.parse(await (await fetch(`${node.http.url}/healthz`)).json());
      return health.entries === listed.length && health.svids === listed.length;
    });
  });

  test("in the midst of a rotation: it goes on where it was", async () => {
    const { fleet, node } = await fleetWithNode();
    await create(fleet, node, "rotated");
    const before = await fleet.admin((admin) => admin.activeAuthority());
    const rotation = fleet.admin((admin) => admin.rotate(() => fleet.issuer.signal("SIGKILL")));
    await expect(rotation).rejects.toThrow();
    await fleet.issuer.stop();
    await fleet.startIssuer();
    await eventually("another authority is active", async () => {
      const active = await fleet.admin((admin) => admin.activeAuthority());
      return active.id !== before.id;
    });
    const next = await create(fleet, node, "after");
    await eventually("the node has what was made afterwards", () => hasSvid(node, next));
    expect(await alarms(node)).toEqual(new Set());
  });
});

describe("a power cut at the broker", () => {
  interface Loss {
    readonly what: string;
    readonly lose: (store: string, copy: string) => void;
    /** What the node is alarmed by: the broker's old objects, which it refuses, and nothing that its issuer says. */
    readonly told: readonly string[];
  }

  const losses: readonly Loss[] = [
    {
      what: "its store is as it was some time before",
      lose: (store, copy) => {
        rmSync(store, { recursive: true });
        cpSync(copy, store, { recursive: true });
      },
      told: ["rollback"],
    },
    {
      what: "its store is gone",
      lose: (store) => rmSync(store, { recursive: true }),
      told: [],
    },
  ];

  test.for(losses)(
    "nothing acknowledged is lost, and no node refuses its issuer: $what",
    async ({ lose, told }) => {
      const { fleet, node } = await fleetWithNode();
      const store = join(fleet.folder, "issuer", "nats", "store");
      const copy = join(fleet.folder, "store-copy");
      const made = [await create(fleet, node, "before")];
      await fleet.nats.stop();
      cpSync(store, copy, { recursive: true });
      await fleet.startNats();
      await eventually("the issuer takes an entry again", async () => {
        made.push(await create(fleet, node, "between"));
        return true;
      });
      await fleet.admin((admin) => admin.rotate());
      made.push(await create(fleet, node, "last"));
      const active = await fleet.admin((admin) => admin.activeAuthority());

      await Promise.all([fleet.nats.stop("SIGKILL"), fleet.issuer.stop("SIGKILL")]);
      lose(store, copy);
      await fleet.startNats();
      await fleet.startIssuer();

      expect((await entries(fleet)).toSorted()).toEqual(made.toSorted());
      expect((await fleet.admin((admin) => admin.activeAuthority())).id).toBe(active.id);
      const next = await create(fleet, node, "afterwards");
      await eventually("the node has what was made afterwards", () => hasSvid(node, next));
      await node.program.stop();
      await fleet.startNode(node);
      await eventually("the node is well after a restart", () => fleet.isWell(node));
      expect(await alarms(node)).toEqual(new Set(told));
    },
  );
});
