import { describe, expect, test } from "vitest";
import { call } from "../../demo/calls.ts";
import { eventually } from "../../demo/eventually.ts";
import { acknowledgedAt } from "../../demo/logs.ts";
import { giveIdentity } from "../../demo/stage.ts";
import { fleetOfTest, stageOfTest } from "../support/fleet.ts";
import { envoySkipped } from "../support/parts.ts";

describe.skipIf(envoySkipped())("an Envoy that is there first", () => {
  test("EF-40 SDS-06 waits for the daemon, the issuer and the entry, and then gets its secrets at once", async () => {
    const fleet = await fleetOfTest();
    await fleet.startNats();
    await fleet.startIssuer();
    const service = await fleet.startService();
    const [nodeA, nodeB] = [await fleet.addNode("node-a"), await fleet.addNode("node-b")];
    await fleet.issuer.stop();
    const api = await fleet.addEnvoy({
      name: "api",
      node: nodeB,
      side: "server",
      upstream: service,
    });
    const web = await fleet.addEnvoy({
      name: "web",
      node: nodeA,
      side: "client",
      upstream: api.port,
    });
    await Promise.all([api.start(), web.start()]);
    // No daemon, and so no socket.
    for (const envoy of [api, web]) {
      await eventually(
        `Envoy ${envoy.name} has tried`,
        async () => (await envoy.stat(/^cluster\.herald\.upstream_cx_connect_fail$/)) > 0,
      );
      expect(await envoy.isLive()).toBe(false);
    }
    // A daemon without any identity, for its issuer is away.
    await Promise.all([fleet.startNode(nodeA), fleet.startNode(nodeB)]);
    for (const envoy of [api, web]) {
      await eventually(
        `Envoy ${envoy.name} has asked`,
        async () => (await envoy.stat(/^cluster\.herald\.upstream_rq_active$/)) > 0,
      );
      expect(await envoy.isLive()).toBe(false);
      await expect(call(envoy.port)).rejects.toMatchObject({ code: "ECONNREFUSED" });
    }
    await fleet.startIssuer();
    await giveIdentity(fleet, api, [nodeB]);
    expect(await web.isLive()).toBe(false);
    await giveIdentity(fleet, web, [nodeA]);
    expect(await call(web.port)).toMatchObject({ status: 200, caller: web.spiffeId });
  });

  test("EF-06 comes back to a daemon that was restarted, serves all the time, and hears of what is new", async () => {
    const { fleet, nodeA, web } = await stageOfTest();
    const before = await call(web.port);
    await nodeA.program.stop();
    expect((await call(web.port)).status).toBe(200);
    const restarted = Date.now();
    await fleet.startNode(nodeA);
    await eventually("Envoy is served from the cache", () =>
      acknowledgedAt(nodeA.log, { name: web.spiffeId, since: restarted }),
    );
    expect((await call(web.port)).certificate).toBe(before.certificate);
    await fleet.admin(async (admin) => {
      const old = (await admin.entries()).find((entry) => entry.spiffeId === web.spiffeId);
      await admin.deleteEntry(old?.id ?? "");
    });
    await giveIdentity(fleet, web, [nodeA]);
    await eventually("calls are made with the new certificate", async () => {
      const { status, caller, certificate } = await call(web.port);
      expect({ status, caller }).toEqual({ status: 200, caller: web.spiffeId });
      return certificate !== before.certificate;
    });
  });
});
