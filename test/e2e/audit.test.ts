import { spawn } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { describe, expect, onTestFinished, test } from "vitest";
import { eventually } from "../../demo/eventually.ts";
import { type Fleet, heraldMain } from "../../demo/fleet.ts";
import { readLog } from "../../demo/logs.ts";
import { sealEnvelope } from "../../src/core/envelope/envelope.ts";
import { keyIdOf } from "../../src/core/envelope/pae.ts";
import { toPem } from "../../src/core/x509/pem.ts";
import { openControlKeys } from "../../src/daemon/control-keys.ts";
import { systemClock } from "../../src/kit/clock.ts";
import { silentLog } from "../../src/kit/log.ts";
import { commonName, hour, makeAuthority, makeKey, makeLeaf } from "../support/ca-world.ts";
import { fleetOfTest } from "../support/fleet.ts";
import { expectTold, type Ran, runHerald } from "../support/fleet-cli.ts";
import { startWitnessNats } from "../support/witness-nats.ts";

async function herald(fleet: Fleet, ...args: readonly string[]): Promise<Ran> {
  return await runHerald(args, { env: { HERALD_ADMIN: fleet.adminAddress } });
}

function pinOf(fleet: Fleet): string {
  return keyIdOf(readFileSync(join(fleet.folder, "issuer", "root.pub")));
}

interface Held {
  readonly svids: readonly {
    readonly spiffeId: string;
    readonly serial: string;
    readonly revoked: boolean;
  }[];
  readonly history: readonly {
    readonly action: { readonly kind: string; readonly verb?: string };
  }[];
}

describe("a banned node (TM-N-04)", () => {
  test("gets nothing signed by a real issuer; the audit tells what it still holds, and by which request", async () => {
    const fleet = await fleetOfTest();
    await fleet.startNats();
    await fleet.startIssuer();
    const node = await fleet.addNode("one");
    await fleet.startNode(node);
    const give = async (path: string) =>
      await fleet.admin((admin) =>
        admin.createEntry({ spiffeId: fleet.id(path), nodes: [node.spiffeId] }),
      );
    const held = async (): Promise<Held> =>
      JSON.parse((await herald(fleet, "audit", "node", "one", "--json")).out) as Held;
    await give("web");
    await eventually("the node has its SVID", async () => (await held()).svids.length > 0);
    const before = await held();

    const banned = await herald(fleet, "node", "ban", "one");
    expect(banned).toMatchObject({ code: 0, err: "" });
    expect(banned.out).toContain(`banned  ${node.spiffeId}\n`);
    await give("late");
    await eventually("the node was refused", async () =>
      JSON.stringify(await readLog(node.log)).includes("NODE_BANNED"),
    );
    const inForce = before.svids.map((svid) => ({ ...svid, revoked: false }));
    expect(before.svids).toEqual(inForce);
    await eventually("what it holds is revoked", async () =>
      (await held()).svids.every(({ revoked }) => revoked),
    );
    const after = await held();
    expect(after.svids).toEqual(before.svids.map((svid) => ({ ...svid, revoked: true })));
    expect(after.history.at(-1)?.action).toMatchObject({ kind: "admin", verb: "node ban" });
    // What the node itself keeps is a witness: it held a head that names the chain.
    const heads = join(node.folder, "state", "state");
    const verified = await herald(fleet, "audit", "verify", "--json", "--head", heads);
    expect(JSON.parse(verified.out)).toMatchObject({
      whole: true,
      witnesses: expect.arrayContaining([
        expect.objectContaining({ by: `heads ${heads}`, problem: "" }),
      ]) as unknown,
    });
    const shown = await herald(fleet, "audit", "show", before.svids[0]?.serial ?? "", "--json");
    expect(JSON.parse(shown.out)).toMatchObject({ action: { kind: "svids-issued" } });
    expect((await herald(fleet, "node", "list", "--banned")).out).toContain("banned");
  });
});

describe("the audit chain and its witnesses", () => {
  test("tail follows; verify holds the chain against a file and another NATS; a chain that was cut does not start again", async () => {
    const fleet = await fleetOfTest();
    const witness = await startWitnessNats(join(fleet.folder, "witness"));
    onTestFinished(() => witness.stop());
    const file = join(fleet.folder, "checkpoints");
    appendFileSync(
      fleet.issuerConfig,
      `audit:\n  checkpointEvery: 1s\n  witnesses:\n    - file: ${file}\n${witness.yaml}`,
    );
    await fleet.startNats();
    await fleet.startIssuer();

    const tail = spawn(
      process.execPath,
      [heraldMain, "audit", "tail", "--since", "1", "--admin", fleet.adminAddress],
      { stdio: ["ignore", "pipe", "ignore"] },
    );
    onTestFinished(() => void tail.kill("SIGKILL"));
    const lines: string[] = [];
    createInterface(tail.stdout).on("line", (line) => lines.push(line));
    const entry = { spiffeId: fleet.id("web"), nodes: [] };
    const create = ["entry", "create", "--spiffe-id", entry.spiffeId, "--selector", "unix:uid:1"];
    expect((await herald(fleet, ...create)).code).toBe(0);
    await eventually("the order is told", () =>
      Promise.resolve(
        lines.some((line) => line.includes(`orders: entry create ${entry.spiffeId}`)),
      ),
    );
    const ended = once(tail, "exit");
    tail.kill("SIGINT");
    expect(await ended).toEqual([0, null]);

    await eventually("both witnesses have seen everything", async () => {
      const { out } = await herald(fleet, "audit", "verify", "--json", "--witness", `file:${file}`);
      const { reports } = JSON.parse(out) as {
        reports: { last: string; witnessed: string; findings: unknown[] }[];
      };
      return reports[0] !== undefined && reports[0].witnessed === reports[0].last;
    });
    const verified = await herald(fleet, "audit", "verify");
    expect(verified.code).toBe(0);
    expect(verified.out).toMatch(/witness +nats HERALD_WITNESS: 1 checkpoint\n/);
    expect(verified.out).toMatch(/witness +file .*: 1 checkpoint\n/);

    // Offline, by the pin and the witness's file alone; and with the end cut off.
    const exported = (await herald(fleet, "audit", "export")).out;
    const path = join(fleet.folder, "chain");
    const offline = ["audit", "verify", "--from-file", path, "--witness", `file:${file}`];
    const root = ["--pin", pinOf(fleet), "--trust-domain", fleet.trustDomain];
    writeFileSync(path, exported);
    expect((await runHerald([...offline, ...root])).code).toBe(0);
    writeFileSync(path, exported.split("\n").slice(0, 1).join("\n"));
    const cut = await runHerald([...offline, ...root]);
    expect([cut.code, /TRUNCATED/.test(cut.out)]).toEqual([1, true]);

    // What the other NATS has seen is more than what the issuer has: it must not go on as if nothing were.
    await fleet.issuer.stop();
    const { issuer, signer, trust } = await openControlKeys(
      join(fleet.folder, "issuer"),
      parseDomain(fleet),
      { clock: systemClock, log: silentLog },
    );
    const beyond = {
      td: trust.trustDomain,
      at: Date.now(),
      issuer,
      n: 1000n,
      digest: "0".repeat(64),
    };
    const forged = (await sealEnvelope("audit-checkpoint", beyond, signer)).bytes;
    appendFileSync(file, `${forged.toString("utf8")}\n`);
    expectTold(await runHerald(["issuer", "--config", fleet.issuerConfig]), {
      happened:
        /audit chain ends at record \d+, and the witness file .* has seen record 1000: it was cut off/,
      cure: /restore the state folder/,
    });
  });
});

describe("x509pop", () => {
  test("a real node enrols by a certificate of the operator's CA, and again after it was installed anew", async () => {
    const fleet = await fleetOfTest();
    const dates = { notBefore: Date.now() - hour, notAfter: Date.now() + hour };
    const ca = makeAuthority({ trustDomain: "corp.example", ...dates });
    const key = makeKey("p384");
    const leaf = makeLeaf(ca, { ...dates, key, subject: commonName("web-1"), uris: ["urn:x"] });
    const write = (name: string, text: string): string => {
      writeFileSync(join(fleet.folder, name), text, { mode: 0o600 });
      return join(fleet.folder, name);
    };
    const caFile = write("ca.pem", toPem("CERTIFICATE", ca.der));
    const certFile = write("node.pem", toPem("CERTIFICATE", leaf));
    const keyFile = write(
      "node.key",
      String(key.privateKey.export({ type: "pkcs8", format: "pem" })),
    );
    appendFileSync(
      fleet.issuerConfig,
      `attestors:\n  x509pop: { caFile: ${caFile}, name: "{cn}", labels: { cn: "{cn}" } }\n`,
    );
    await fleet.startNats();
    await fleet.startIssuer();
    const node = await fleet.addNode("web-1");
    const config = readFileSync(node.config, "utf8");
    const attestor = `attestor:\n  x509pop: { certFile: ${certFile}, keyFile: ${keyFile}, pin: ${pinOf(fleet)} }\n`;
    writeFileSync(node.config, config.replace("joinFile: join\n", attestor));
    await fleet.startNode(node);
    const id = fleet.id("herald/node/x509pop/web-1");
    const shown = async () => (await herald(fleet, "node", "show", id, "--json")).out;
    await eventually("the node is in", async () => (await shown()).includes('"cn":"web-1"'));
    await node.program.stop();
    writeFileSync(
      node.config,
      readFileSync(node.config, "utf8").replace("dir: state", "dir: anew"),
    );
    await fleet.startNode(node);
    await eventually("its old key is retired", async () => {
      const { retiredKeys } = JSON.parse(await shown()) as { retiredKeys: readonly string[] };
      return retiredKeys.length === 1;
    });
    expect((await herald(fleet, "node", "list", "--attestor", "join_token")).out).toBe(
      "no node fits\n",
    );
  });
});

function parseDomain(fleet: Fleet): Parameters<typeof openControlKeys>[1] {
  return fleet.trustDomain as Parameters<typeof openControlKeys>[1];
}
