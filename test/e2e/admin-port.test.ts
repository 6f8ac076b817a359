import { appendFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { eventually } from "../../demo/eventually.ts";
import { heraldMain } from "../../demo/fleet.ts";
import { freePort } from "../../demo/ports.ts";
import { type Ended, run } from "../support/dev.ts";
import { fleetOfTest } from "../support/fleet.ts";

async function herald(...args: readonly string[]): Promise<Ended> {
  return await run(process.execPath, [heraldMain, ...args]);
}

test("TM-X-01: the issuer's admin port knows a workload's SVID, and takes no orders from it while no entry makes it an administrator", async () => {
  const fleet = await fleetOfTest();
  const port = await freePort();
  await appendFile(fleet.issuerConfig, `\nadmin: { tls: { listen: "127.0.0.1:${port}" } }\n`);
  await fleet.startNats();
  await fleet.startIssuer();
  const node = await fleet.addNode("one");
  await fleet.startNode(node);
  const selector = `unix:uid:${process.getuid?.() ?? 0}`;
  const create = ["entry", "create", "--spiffe-id", fleet.id("ops"), "--selector", selector];
  const made = await herald(...create, "--admin", fleet.adminAddress);
  expect(made.stderr).toBe("");
  const socket = `unix://${node.socket}`;
  const dir = join(fleet.folder, "svid");
  await eventually("the node has the SVID", async () => {
    return (await herald("fetch", "x509", "--socket", socket, "--write", dir)).status === 0;
  });
  const address = `tls://127.0.0.1:${port}`;
  for (const source of [
    ["--svid-dir", dir],
    ["--workload-socket", socket],
  ]) {
    const ran = await herald("entry", "list", "--json", "--admin", address, ...source);
    expect(JSON.parse(ran.stderr)).toMatchObject({
      error: { code: "PERMISSION_DENIED", cure: "mark one with admin" },
    });
  }
});
