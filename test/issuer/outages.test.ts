import { describe, expect, test } from "vitest";
import { issuerMember } from "../support/simulation-issuer.ts";
import { storeIsWhole } from "./support/dying.ts";
import { openOffice } from "./support/office.ts";
import { bundleIsCovered, bySerial, issued, publishedCrls, revoke } from "./support/revocations.ts";
import { theOnly } from "./support/rotating.ts";

describe("orders while the bus is away", () => {
  test("JRN-01, REV-12: an authority that is prepared with CRLs in force is recorded, as the operator is told", async () => {
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
