import { describe, expect, test } from "vitest";
import type { AuditRecord } from "../../src/core/envelope/audit-payloads.ts";
import { sealEnvelope } from "../../src/core/envelope/envelope.ts";
import { revocationsKey, revokedKey } from "../../src/core/envelope/object-keys.ts";
import type { Head } from "../../src/core/envelope/payloads.ts";
import { recordKeyOf } from "../../src/issuer/requests.ts";
import { type Asker, csrOf, verdictOf } from "../support/simulation-asker.ts";
import { payloadOf } from "../support/simulation-audit.ts";
import { keyPair } from "../support/simulation-keys.ts";
import { type Office, openOffice, operator } from "./support/office.ts";
import {
  bySerial,
  issued,
  refusedSerials,
  revocations,
  revoke,
  store,
} from "./support/revocations.ts";

const hour = 3_600_000;

/** A node's record says that it is banned, as if an operator had done it on another issuer. */
async function ban(office: Office, node: Asker): Promise<void> {
  const { host, domain } = office;
  const record = host.issuer.nodes.list().find((one) => one.node === node.id);
  if (record === undefined) throw new Error("no such node");
  const version = { ...record.version, seq: record.version.seq + 1000n };
  const sealed = await sealEnvelope(
    "node-record",
    { ...record, version, banned: true },
    domain.signer,
  );
  host.bus.faults.forge(recordKeyOf(node.id), sealed.bytes);
  await host.issuer.onBusBack();
}

describe("attackers", () => {
  test("TM-N-04 a banned node cannot renew, and everything it held is refused, by itself", async () => {
    const office = await openOffice();
    const node = await office.node("east");
    const held = await issued(node, await office.entry("/web"), 2);
    await ban(office, node);
    await office.clock.advance(1500);
    expect(await refusedSerials(office)).toEqual(expect.arrayContaining([...held]));
    expect(await refusedSerials(office)).toHaveLength(3);
    const renewal = await node.request("renew-request", { csr: await csrOf(keyPair()) });
    expect(verdictOf(await node.send("renew-request", renewal))).toBe("NODE_BANNED");
  });

  test("TM-N-04 what was being signed when the ban came is refused too", async () => {
    const office = await openOffice();
    const { host } = office;
    const node = await office.node("east");
    const web = await office.entry("/web");
    let banned: Promise<void> | undefined;
    host.keys.onSign = () => {
      banned ??= ban(office, node);
    };
    const [late = ""] = await issued(node, web);
    await banned;
    await office.clock.advance(1500);
    expect(await refusedSerials(office)).toContain(late);
  });

  test("TM-N-04 so is what is recorded after the ban was carried out", async () => {
    const office = await openOffice();
    const { host } = office;
    const node = await office.node("east");
    await issued(node, await office.entry("/web"));
    const held = host.audit.records.findLast(
      ({ payload }) => payload.action.kind === "svids-issued",
    );
    const { action } = held?.payload ?? {};
    if (action?.kind !== "svids-issued") throw new Error("nothing was issued");
    await ban(office, node);
    await office.clock.advance(1500);
    // A batch that was let in before the ban, and is as slow as its disk.
    const late = action.svids.map((svid) => ({ ...svid, serial: "4f".repeat(16) }));
    const record = {
      ...held?.payload,
      n: 99n,
      at: office.clock.now(),
      action: { ...action, svids: late },
    };
    host.issuer.svids.onRecord(record as AuditRecord);
    await office.clock.advance(1500);
    expect(await refusedSerials(office)).toContain("4f".repeat(16));
  });

  test("JRN-01 an issuer that dies between a ban and its revocations goes on with them", async () => {
    const office = await openOffice();
    const { host } = office;
    const node = await office.node("east");
    const held = await issued(node, await office.entry("/web"));
    await ban(office, node);
    await host.restart();
    await office.clock.advance(1500);
    expect(await refusedSerials(office)).toEqual(expect.arrayContaining([...held]));
  });

  test("TM-B-01 a broker's own list, and its own CRLs, are ignored, alarmed and overwritten", async () => {
    const office = await openOffice();
    const { host } = office;
    const [bad = ""] = await issued(await office.node("east"), await office.entry("/web"));
    await revoke(office, bySerial(bad));
    for (const key of [revokedKey, revocationsKey(office.domain.trustDomain)])
      host.bus.faults.forge(key, Buffer.from('{"a":1}'));
    await host.issuer.onBusBack();
    expect(host.log.alarms.filter((alarm) => alarm === "unsigned")).toHaveLength(2);
    expect(await refusedSerials(office)).toEqual([bad]);
  });

  test("TM-B-04 revocations that are rewound or withheld show against the head, which names the newest", async () => {
    const office = await openOffice();
    const { host, domain } = office;
    const key = revocationsKey(domain.trustDomain);
    const [bad = ""] = await issued(await office.node("east"), await office.entry("/web"));
    const old = (await store(office)).get(key) ?? new Uint8Array();
    await revoke(office, bySerial(bad));
    await office.clock.advance(1500);
    const named = payloadOf<Head>(host.heads.at(-1) ?? new Uint8Array()).objects[key];
    expect(named?.version).toEqual((await revocations(office)).version);
    host.bus.faults.forge(key, old);
    await host.issuer.onBusBack();
    expect(await refusedSerials(office)).toEqual([bad]);
  });

  test("REV-04 more than fits is refused with the cure, and changes nothing", async () => {
    const office = await openOffice();
    const { host } = office;
    const authority = host.issuer.authorities.active()?.authority ?? "";
    const notAfter = office.clock.now() + hour;
    const svids = Array.from({ length: 12_000 }, (_, at) => ({
      serial: `40${at.toString(16).padStart(30, "0")}`,
      authority,
      notAfter,
    }));
    const order = { subject: "many", reason: "keyCompromise", by: operator } as const;
    await expect(host.issuer.svids.revocations.revoke({ ...order, svids })).rejects.toMatchObject({
      code: "REVOCATIONS_FULL",
    });
    expect((await revocations(office)).crls).toEqual([]);
    await host.issuer.svids.revocations.revoke({ ...order, svids: svids.slice(0, 8000) });
    expect(await refusedSerials(office)).toHaveLength(8000);
  });
});
