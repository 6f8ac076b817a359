import { spawnSync } from "node:child_process";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { eventually } from "../../demo/eventually.ts";
import { Fleet, type FleetNode } from "../../demo/fleet.ts";
import { revocationsKey } from "../../src/core/envelope/object-keys.ts";
import type { RevocationsState } from "../../src/core/envelope/payloads.ts";
import { parseTrustDomain } from "../../src/core/spiffe/spiffe-id.ts";
import { parseCertificate } from "../../src/core/x509/certificate.ts";
import { parsePem, toPem } from "../../src/core/x509/pem.ts";
import { loadIssuerConfig } from "../../src/daemon/config.ts";
import { connectBus } from "../../src/events/adapters/connection.ts";
import { createNodeBus } from "../../src/events/adapters/node-bus.ts";
import { nodeInboxPrefix } from "../../src/events/subjects.ts";
import { systemClock } from "../../src/kit/clock.ts";
import { silentLog } from "../../src/kit/log.ts";
import { systemRandom } from "../../src/kit/random.ts";
import { closeFleet, fleetOptions } from "../support/fleet.ts";
import { runHerald } from "../support/fleet-cli.ts";
import { payloadOf } from "../support/simulation-audit.ts";

const program = "openssl";
const hasOpenssl = spawnSync(program, ["version"]).status === 0;

describe.skipIf(!hasOpenssl)("herald svid revoke, before openssl (needs openssl)", () => {
  let fleet: Fleet;
  let node: FleetNode;

  beforeAll(async () => {
    fleet = await Fleet.create(fleetOptions());
    await fleet.startNats();
    await fleet.startIssuer();
    node = await fleet.addNode("east");
    await fleet.startNode(node);
    return () => closeFleet(fleet);
  });

  /** The CLI's answer in JSON. */
  async function herald<T>(...args: readonly string[]): Promise<T> {
    const ran = await runHerald([...args, "--admin", fleet.adminAddress, "--json"]);
    if (ran.code !== 0) throw new Error(ran.err);
    return JSON.parse(ran.out) as T;
  }

  /** CRLs off the bus, as a node reads them. */
  async function crls(): Promise<readonly Uint8Array[]> {
    const { nats } = loadIssuerConfig(fleet.issuerConfig);
    const connection = await connectBus({
      servers: nats.servers,
      nkeySeed: readFileSync(nats.nodeSeedFile, "utf8").trim(),
      pins: () => nats.pins,
      name: "eyes",
      inboxPrefix: nodeInboxPrefix("eyes"),
      clock: systemClock,
      random: systemRandom,
      log: silentLog,
    });
    const trustDomain = parseTrustDomain(fleet.trustDomain);
    const bus = createNodeBus({ connection, node: "eyes", trustDomain });
    try {
      const bytes = await bus.read(revocationsKey(trustDomain));
      const { crls: found } = payloadOf<RevocationsState>(bytes ?? new Uint8Array());
      return found.map((crl) => Buffer.from(crl, "base64"));
    } finally {
      await bus.close();
    }
  }

  /** What openssl, told to check CRLs, says of a chain with what is on the bus now. */
  async function judged(folder: string, chain: string, roots: string): Promise<string> {
    writeFileSync(
      join(folder, "all.crl"),
      (await crls()).map((crl) => toPem("X509 CRL", crl)).join(""),
    );
    const said = spawnSync(
      program,
      ["verify", "-crl_check_all", "-CAfile", roots, "-CRLfile", "all.crl", chain],
      { cwd: folder, encoding: "utf8" },
    );
    return `${said.stdout}${said.stderr}`;
  }

  function serialOf(file: string): string {
    const [leaf] = parsePem("CERTIFICATE", readFileSync(file, "utf8"));
    return parseCertificate(leaf ?? new Uint8Array()).serial;
  }

  test("REV-04 a workload's SVID: taken before, refused after; another is taken; all of it again after SIGKILL of the issuer", async () => {
    const spiffeId = fleet.id("web");
    await fleet.admin((admin) => admin.createEntry({ spiffeId, nodes: [node.spiffeId] }));
    const { folder } = fleet;
    const write = join(folder, "web");
    const fetched = await eventually("the workload has its SVID", async () => {
      const ran = await runHerald([
        "fetch",
        "x509",
        "--socket",
        `unix://${node.socket}`,
        "--write",
        write,
      ]);
      return ran.code === 0;
    });
    expect(fetched).toBe(true);
    const mint = join(folder, "db");
    await herald(
      "svid",
      "mint",
      "--spiffe-id",
      fleet.id("db"),
      "--reason",
      "a test",
      "--write",
      mint,
    );
    expect(statSync(join(mint, "key.pem")).mode & 0o777).toBe(0o600);
    const [bad, good, roots] = [
      join(write, "svid.0.pem"),
      join(mint, "svid.pem"),
      join(mint, "bundle.pem"),
    ];
    expect(await crls()).toEqual([]);
    const serial = serialOf(bad);
    const { svids } = await herald<{ svids: { serial: string }[] }>(
      "svid",
      "list",
      "--spiffe-id",
      spiffeId,
    );
    expect(svids.map((one) => one.serial)).toContain(serial);

    const { revoked } = await herald<{ revoked: { serial: string }[] }>(
      "svid",
      "revoke",
      "--serial",
      serial,
      "--reason",
      "keyCompromise",
    );
    expect(revoked.map((one) => one.serial)).toEqual([serial]);
    // The command has answered, so it is there.
    expect(await judged(folder, bad, roots)).toContain("certificate revoked");
    expect(await judged(folder, good, roots)).toContain("OK");

    await fleet.issuer.stop("SIGKILL");
    await fleet.startIssuer();
    expect(await judged(folder, bad, roots)).toContain("certificate revoked");
    expect(await judged(folder, good, roots)).toContain("OK");
    const { already } = await herald<{ already: unknown[] }>("svid", "revoke", "--serial", serial);
    expect(already).toHaveLength(1);
  });
});
