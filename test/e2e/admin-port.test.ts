import { appendFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { z } from "zod";
import { eventually } from "../../demo/eventually.ts";
import { heraldMain } from "../../demo/fleet.ts";
import { freePort } from "../../demo/ports.ts";
import { type Ended, run } from "../support/dev.ts";
import { fleetOfTest } from "../support/fleet.ts";

async function herald(...args: readonly string[]): Promise<Ended> {
  return await run(process.execPath, [heraldMain, ...args]);
}

test("TM-X-01: the issuer's admin port takes orders from an administrator's SVID only, until it is revoked", async () => {
  const fleet = await fleetOfTest();
  const port = await freePort();
  await appendFile(fleet.issuerConfig, `\nadmin: { tls: { listen: "127.0.0.1:${port}" } }\n`);
  await fleet.startNats();
  await fleet.startIssuer();
  const node = await fleet.addNode("one");
  await fleet.startNode(node);
  const atSocket = async (...args: readonly string[]): Promise<Ended> =>
    await herald(...args, "--json", "--admin", fleet.adminAddress);
  const selector = `unix:uid:${process.getuid?.() ?? 0}`;
  const create = ["entry", "create", "--spiffe-id", fleet.id("ops"), "--selector", selector];
  // The node is named: administrators on every node are more than anybody meant (ENT-ADMIN).
  const made = await atSocket(...create, "--node", fleet.id("herald/node/join_token/one"));
  const { id, revision } = entryIn(made);
  const socket = `unix://${node.socket}`;
  const dir = join(fleet.folder, "svid");
  await eventually("the node has the SVID", async () => {
    return (await herald("fetch", "x509", "--socket", socket, "--write", dir)).status === 0;
  });
  const address = `tls://127.0.0.1:${port}`;
  const sources = [
    ["--svid-dir", dir],
    ["--workload-socket", socket],
  ];
  const overTls = async (source: readonly string[]): Promise<Ended> =>
    await herald("entry", "list", "--json", "--admin", address, ...source);
  for (const source of sources) {
    expect(JSON.parse((await overTls(source)).stderr)).toMatchObject({
      error: { code: "PERMISSION_DENIED", cure: "mark one with admin" },
    });
  }
  expect((await atSocket("entry", "update", id, "--revision", revision, "--is-admin")).status).toBe(
    0,
  );
  for (const source of sources)
    expect(entryIn(await overTls(source))).toMatchObject({ id, admin: true });
  const [svid] = sources;
  expect((await atSocket("svid", "revoke", "--spiffe-id", fleet.id("ops"))).status).toBe(0);
  expect(JSON.parse((await overTls(svid ?? [])).stderr)).toMatchObject({
    error: { code: "PERMISSION_DENIED" },
  });
});

const told = z.object({ id: z.string(), revision: z.string(), admin: z.boolean() });

/** The one entry that a command told of. */
function entryIn({ stdout, stderr }: Ended): z.infer<typeof told> {
  expect(stdout, stderr).not.toBe("");
  const answer = z
    .union([z.object({ entry: told }), z.object({ entries: z.tuple([told]) })])
    .parse(JSON.parse(stdout));
  return "entry" in answer ? answer.entry : answer.entries[0];
}
