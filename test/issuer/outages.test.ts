import { describe, expect, test } from "vitest";
import { issuerMember } from "../support/simulation-issuer.ts";
import { storeIsWhole } from "./support/dying.ts";
import { openOffice } from "./support/office.ts";
import { bundleIsCovered, bySerial, issued, publishedCrls, revoke } from "./support/revocations.ts";
import { hourMs, theOnly } from "./support/rotating.ts";

describe("orders while the bus is away", () => {
  test("JRN-01, REV-04: an authority that is prepared with CRLs in force is recorded, as the operator is told", async () => {
    const office = await openOffice();
    const { host } = office;
    const [bad = ""] = await issued(await office.node("east"), await office.entry("/web"));
    await revoke(office, bySerial(bad));
    host.bus.faults.disconnect(issuerMember);
    await expect(host.issuer.ca.orders.prepare("uid 0")).rejects.toMatchObject({
      code: "STORE_PENDING",
    });
    const prepared = theOnly(office, "prepared");
    host.bus.faults.reconnect(issuerMember);
    await host.issuer.onBusBack();
    expect(await bundleIsCovered(office)).toBe(true);
    expect([...(await publishedCrls(office)).keys()]).toContain(prepared);
    await storeIsWhole(office);
  });
});

describe("a ban that cannot be carried through", () => {
  test("REV-04 CRLs stay fresh all the same", async () => {
    const office = await openOffice({ crlLifeMs: 2 * hourMs, maxTtlSeconds: 3600 });
    const { host, clock } = office;
    const web = await office.entry("/web");
    const [bad = ""] = await issued(await office.node("east"), web);
    const west = await office.node("west");
    await issued(west, web);
    await revoke(office, bySerial(bad));
    host.audit.up = false;
    await host.issuer.nodes.records.ban(west.id);
    await clock.advance(1.5 * hourMs);
    const [crl] = (await publishedCrls(office)).values();
    expect(crl?.nextUpdate).toBeGreaterThan(clock.now() + hourMs);
    host.audit.up = true;
    await clock.advance(20_000);
    const held = { node: west.id, spiffeId: west.id };
    const page = host.issuer.svids.list(held, { limit: 9, from: "", revoked: false });
    const revoked = host.issuer.svids.revoked().map(({ serial }) => serial);
    expect(page.svids.map(({ serial }) => serial)).toEqual([expect.toBeOneOf(revoked)]);
  });

  test("REV-04 while there is no room for its SVIDs the audit chain does not fill up with attempts", async () => {
    const office = await openOffice();
    const { host, clock } = office;
    const west = await office.node("west");
    await issued(west, await office.entry("/web"), 50);
    const authority = host.issuer.authorities.active()?.authority ?? "";
    const svids = Array.from({ length: 12_000 }, (_none, at) => ({
      serial: `40${at.toString(16).padStart(30, "0")}`,
      authority,
      notAfter: clock.now() + 20 * hourMs,
    }));
    const order = { subject: "many", reason: "unspecified", by: null } as const;
    const { revocations } = host.issuer.svids;
    for (let [from, size] = [0, 8000]; from < svids.length; from += size, size = 30) {
      const some = svids.slice(from, from + size);
      if (!(await fits(revocations.revoke({ ...order, svids: some })))) break;
    }
    await host.issuer.nodes.records.ban(west.id);
    await clock.advance(10_000);
    const before = host.audit.records.length;
    await clock.advance(60_000);
    expect(host.audit.records.length - before).toBeLessThan(3);
  });
});

async function fits(order: Promise<unknown>): Promise<boolean> {
  return await order.then(
    () => true,
    () => false,
  );
}
