import { describe, expect, test } from "vitest";
import { bundleKey, revocationsKey } from "../../src/core/envelope/object-keys.ts";
import { openOffice, operator } from "./support/office.ts";
import {
  bundleIsCovered,
  bySerial,
  issued,
  publishedCrls,
  refusedSerials,
  revocations,
  revoke,
} from "./support/revocations.ts";

const hour = 3_600_000;

describe("every trusted authority has a CRL", () => {
  test("EF-21 a rotation: the new authority's CRL is there before the bundle that trusts it, and stays", async () => {
    const office = await openOffice();
    const { host } = office;
    const node = await office.node("east");
    const [bad = ""] = await issued(node, await office.entry("/web"));
    await revoke(office, bySerial(bad));
    const { trustDomain } = office.domain;
    const written: string[] = [];
    host.onStored = (key) => written.push(key);
    await host.issuer.rotate(operator);
    expect(written.indexOf(revocationsKey(trustDomain))).toBeGreaterThanOrEqual(0);
    expect(written.indexOf(revocationsKey(trustDomain))).toBeLessThan(
      written.indexOf(bundleKey(trustDomain)),
    );
    const trusted = host.issuer.authorities.trusted().map(({ authority }) => authority);
    expect(trusted).toHaveLength(2);
    expect([...(await publishedCrls(office)).keys()].toSorted()).toEqual(trusted.toSorted());
    expect(await bundleIsCovered(office)).toBe(true);
    expect(await refusedSerials(office)).toEqual([bad]);
  });

  test("EF-21 a new authority that cannot sign its CRL is not trusted", async () => {
    const office = await openOffice();
    const { host } = office;
    const [bad = ""] = await issued(await office.node("east"), await office.entry("/web"));
    await revoke(office, bySerial(bad));
    const create = host.keys.create.bind(host.keys);
    host.keys.create = async (authority) => {
      const signer = await create(authority);
      host.keys.lose(authority);
      return signer;
    };
    await expect(host.issuer.rotate(operator)).rejects.toMatchObject({ code: "CRL_UNSIGNED" });
    expect(host.issuer.authorities.trusted()).toHaveLength(1);
    expect(await refusedSerials(office)).toEqual([bad]);
  });

  test("EF-21 an old authority whose key is lost keeps its last CRL, alarmed; what cannot be enforced is said", async () => {
    const office = await openOffice();
    const { host } = office;
    const node = await office.node("east");
    const web = await office.entry("/web");
    const [bad = "", late = ""] = await issued(node, web, 2);
    const first = host.issuer.authorities.active()?.authority ?? "";
    await revoke(office, bySerial(bad));
    host.keys.lose(first);
    await host.restart();
    expect(host.log.alarms).toContain("crl-stale");
    expect(await refusedSerials(office)).toEqual([bad]);
    const answer = await revoke(office, bySerial(late));
    expect(answer.unenforced).toMatchObject([{ authority: first }]);
    expect(host.issuer.svids.revoked()).toHaveLength(2);
  });

  test("EF-21 one authority without a CRL keeps back those of the others", async () => {
    const office = await openOffice();
    const { host } = office;
    const old = host.issuer.authorities.active()?.authority ?? "";
    await host.issuer.ca.orders.prepare("uid 0");
    await host.issuer.ca.orders.activate("", "uid 0");
    await office.clock.advance(1500);
    expect(host.issuer.authorities.trusted()).toHaveLength(2);
    host.keys.lose(old);
    await host.restart();
    const [bad = ""] = await issued(await office.node("east"), await office.entry("/web"));
    expect((await revoke(office, bySerial(bad))).unenforced).toMatchObject([{ authority: old }]);
    expect((await revocations(office)).crls).toEqual([]);
    expect(host.log.alarms).toContain("crl-missing");
    host.keys.find(old);
    await office.clock.advance(700_000);
    expect((await publishedCrls(office)).size).toBe(2);
    expect(await refusedSerials(office)).toEqual([bad]);
  });

  test("EF-21 where one never had a CRL none is published, since verifiers would refuse everybody", async () => {
    const office = await openOffice();
    const { host } = office;
    const [bad = ""] = await issued(await office.node("east"), await office.entry("/web"));
    const first = host.issuer.authorities.active()?.authority ?? "";
    host.keys.lose(first);
    await host.restart();
    const answer = await revoke(office, bySerial(bad));
    expect(answer.unenforced).toMatchObject([{ authority: first }]);
    expect((await revocations(office)).crls).toEqual([]);
    // It was only away: found again, everything that was recorded is told.
    host.keys.find(first);
    await office.clock.advance(700_000);
    expect(await refusedSerials(office)).toEqual([bad]);
  });
});

describe("CRLs stay fresh without an operator", () => {
  test("REV-04 at half of its life a CRL is made anew, with a later end and a higher number", async () => {
    const office = await openOffice({ maxTtlSeconds: 86_400, crlLifeMs: 2 * hour });
    const authority = office.host.issuer.authorities.active()?.authority ?? "";
    const known = { authority, notAfter: office.clock.now() + 10 * hour };
    await revoke(office, { kind: "serial", serial: "40".repeat(16), known });
    const [before] = (await publishedCrls(office)).values();
    await office.clock.advance(0.9 * hour);
    expect([...(await publishedCrls(office)).values()][0]?.number).toBe(before?.number);
    await office.clock.advance(0.2 * hour);
    const [after] = (await publishedCrls(office)).values();
    expect(after?.number).toBeGreaterThan(before?.number ?? 0n);
    expect(after?.nextUpdate).toBeGreaterThan(before?.nextUpdate ?? 0);
    expect(await refusedSerials(office)).toEqual(["40".repeat(16)]);
  });

  test("REV-04 what ended long ago leaves the CRL, after one that was made past its end; with the last one the CRLs go", async () => {
    const office = await openOffice();
    const [bad = ""] = await issued(await office.node("east"), await office.entry("/web"));
    await revoke(office, bySerial(bad));
    const [first] = (await publishedCrls(office)).values();
    await office.clock.advance(hour);
    expect(await refusedSerials(office)).toEqual([bad]);
    await office.clock.advance(6 * hour);
    const [second] = (await publishedCrls(office)).values();
    expect(second?.number).toBeGreaterThan(first?.number ?? 0n);
    expect(second?.revoked.map(({ serial }) => serial)).toEqual([bad]);
    await office.clock.advance(6 * hour);
    expect((await revocations(office)).crls).toEqual([]);
  }, 60_000);

  test("EF-21 no CRL is younger than a clock that runs ten minutes behind", async () => {
    const office = await openOffice();
    const [bad = ""] = await issued(await office.node("east"), await office.entry("/web"));
    await revoke(office, bySerial(bad));
    const [crl] = (await publishedCrls(office)).values();
    expect(crl?.thisUpdate).toBeLessThanOrEqual(office.clock.now() - 600_000);
    expect(crl?.revoked.every(({ at }) => at <= crl.thisUpdate)).toBe(true);
  });
});
