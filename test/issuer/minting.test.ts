import { describe, expect, test } from "vitest";
import { parseSpiffeId } from "../../src/core/spiffe/spiffe-id.ts";
import { parseCertificate } from "../../src/core/x509/certificate.ts";
import { createCsr } from "../../src/core/x509/csr.ts";
import type { MintOrder } from "../../src/issuer/signing/minting.ts";
import { keyPair } from "../support/simulation-keys.ts";
import { type Office, openOffice, operator } from "./support/office.ts";
import { bySerial, refusedSerials, revoke } from "./support/revocations.ts";

async function order(bend: Partial<MintOrder> = {}): Promise<MintOrder> {
  return {
    spiffeId: parseSpiffeId("spiffe://example.org/db"),
    csr: await createCsr(keyPair()),
    ttlSeconds: 0,
    dnsNames: ["db.internal"],
    reason: "INC-4711: the node is lost",
    by: operator,
    ...bend,
  };
}

describe("an SVID by hand", () => {
  test("INV-9 is short, recorded with operator and reason, in the ledger, and can be revoked", async () => {
    const office = await openOffice();
    const { host, clock } = office;
    const minted = await host.issuer.svids.minting.mint(await order());
    const leaf = parseCertificate(minted.chain[0] ?? new Uint8Array());
    expect(leaf).toMatchObject({ serial: minted.serial, uris: ["spiffe://example.org/db"] });
    expect(leaf.dnsNames).toEqual(["db.internal"]);
    expect(leaf.notAfter).toBeLessThanOrEqual(clock.now() + 3_600_000);
    expect(host.audit.records.at(-1)?.payload.action).toMatchObject({
      kind: "svid-minted",
      serial: minted.serial,
      reason: "INC-4711: the node is lost",
      by: operator,
    });
    expect(host.issuer.svids.show(minted.serial)).toMatchObject({
      kind: "minted",
      node: "",
      entry: "",
    });
    await host.restart();
    await revoke(office, bySerial(minted.serial));
    expect(await refusedSerials(office)).toEqual([minted.serial]);
  });

  test.for<readonly [string, Partial<MintOrder>]>([
    ["below /herald/", { spiffeId: parseSpiffeId("spiffe://example.org/herald/node/x") }],
    ["of another trust domain", { spiffeId: parseSpiffeId("spiffe://elsewhere.test/db") }],
    ["without a path", { spiffeId: parseSpiffeId("spiffe://example.org") }],
    ["that lives too long", { ttlSeconds: 3601 }],
    ["without a reason", { reason: "  " }],
    ["with a name that is none", { dnsNames: ["dö.internal"] }],
    ["for what is no CSR", { csr: Uint8Array.of(1, 2, 3) }],
  ])("TM-W-01 one %s is refused, and nothing is recorded", async ([, bend]) => {
    const { host } = await openOffice();
    const before = host.audit.records.length;
    await expect(host.issuer.svids.minting.mint(await order(bend))).rejects.toMatchObject({
      code: "MINT_INVALID",
    });
    expect(host.audit.records).toHaveLength(before);
  });

  test("INV-8 without the audit stream nothing is signed", async () => {
    const { host }: Office = await openOffice();
    let signed = 0;
    host.keys.onSign = () => {
      signed += 1;
    };
    host.audit.up = false;
    await expect(host.issuer.svids.minting.mint(await order())).rejects.toMatchObject({
      code: "AUDIT_UNAVAILABLE",
    });
    expect(signed).toBe(0);
  });
});
