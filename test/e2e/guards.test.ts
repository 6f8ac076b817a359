import { beforeAll, describe, expect, test } from "vitest";
import { call } from "../../demo/calls.ts";
import { giveIdentity, openStage, type Stage } from "../../demo/stage.ts";
import { forgeSvid, knock } from "../../demo/strangers.ts";
import { closeFleet, fleetOptions } from "../support/fleet.ts";
import { envoySkipped } from "../support/parts.ts";

describe.skipIf(envoySkipped())("EF-26 a server's Envoy with a generated bootstrap", () => {
  let stage: Stage;
  beforeAll(async () => {
    stage = await openStage(fleetOptions());
    return () => closeFleet(stage.fleet);
  });

  test("answers a caller of its trust domain, and tells the service who it is", async () => {
    const { web } = stage;
    expect(await call(web.port)).toMatchObject({ status: 200, caller: web.spiffeId });
  });

  test("refuses a caller without a certificate", async () => {
    const { api } = stage;
    const refused = await api.stat(/ssl\.fail_verify_no_cert$/);
    expect(await knock(api.port)).toMatchObject({ answered: false });
    expect(await api.stat(/ssl\.fail_verify_no_cert$/)).toBe(refused + 1);
  });

  test.for([
    ["of its own trust domain, signed by another CA", "spiffe://example.org/web"],
    ["of another trust domain", "spiffe://elsewhere.test/web"],
    ["of a trust domain that only begins like its own", "spiffe://example.org.evil/web"],
  ] as const)("refuses a caller with an SVID %s", async ([, id]) => {
    const { api } = stage;
    const refused = await api.stat(/ssl\.fail_verify_error$/);
    expect(await knock(api.port, await forgeSvid(id))).toMatchObject({ answered: false });
    expect(await api.stat(/ssl\.fail_verify_error$/)).toBe(refused + 1);
  });

  test("--allow-caller lets in exactly whom it names", async () => {
    const { fleet, nodeA, nodeB, service } = stage;
    const strict = await fleet.addEnvoy({
      name: "strict",
      node: nodeB,
      side: "server",
      upstream: service,
      allow: [fleet.id("friend")],
    });
    await strict.start();
    await giveIdentity(fleet, strict, [nodeB]);
    const seen: Record<string, number> = {};
    // A name that only begins like the allowed one is another name.
    for (const name of ["friend", "friend2", "friend-admin", "frien"]) {
      const caller = await fleet.addEnvoy({
        name,
        node: nodeA,
        side: "client",
        upstream: strict.port,
      });
      await caller.start();
      await giveIdentity(fleet, caller, [nodeA]);
      seen[name] = (await call(caller.port)).status;
      await caller.program.stop();
    }
    expect(seen).toEqual({ friend: 200, friend2: 503, "friend-admin": 503, frien: 503 });
    expect(await strict.stat(/ssl\.fail_verify_san$/)).toBeGreaterThanOrEqual(3);
  });

  test("--expect-server: a client's Envoy speaks to nobody but whom it names", async () => {
    const { fleet, nodeA, api, web } = stage;
    const wary = await fleet.addEnvoy({
      name: "wary",
      node: nodeA,
      side: "client",
      upstream: api.port,
      allow: [web.spiffeId],
    });
    await wary.start();
    await giveIdentity(fleet, wary, [nodeA]);
    expect((await call(wary.port)).status).toBe(503);
    expect(await wary.stat(/^cluster\.upstream\.ssl\.fail_verify_san$/)).toBeGreaterThan(0);
  });
});
