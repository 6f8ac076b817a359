import { describe, expect, test } from "vitest";
import { sealEnvelope } from "../../src/core/envelope/envelope.ts";
import { bundleKey, revocationsKey, revokedKey } from "../../src/core/envelope/object-keys.ts";
import type { Head } from "../../src/core/envelope/payloads.ts";
import { recordKeyOf } from "../../src/issuer/requests.ts";
import { MemoryJournal } from "../support/memory-journal.ts";
import { type Asker, csrOf, verdictOf } from "../support/simulation-asker.ts";
import { payloadOf } from "../support/simulation-audit.ts";
import { keyPair } from "../support/simulation-keys.ts";
import { quiet } from "../support/simulation-quiet.ts";
import { type Office, openOffice, operator } from "./support/office.ts";
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

/** Everything that nodes read, as it is now. */
async function store({ host }: Office): Promise<ReadonlyMap<string, Uint8Array>> {
  return await host.bus.issuer("eyes").loadAll();
}

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

describe("what is revoked, and what else is said", () => {
  test("REV-04 while nothing is revoked there is no CRL at all", async () => {
    const office = await openOffice();
    await issued(await office.node("east"), await office.entry("/web"));
    expect((await revocations(office)).crls).toEqual([]);
    expect((await store(office)).has(revokedKey)).toBe(false);
  });

  test("REV-04 a serial: it is refused, and nothing else", async () => {
    const office = await openOffice();
    const [bad = ""] = await issued(await office.node("east"), await office.entry("/web"), 3);
    const { revoked, unenforced, history } = await revoke(office, bySerial(bad));
    expect(revoked.map(({ serial }) => serial)).toEqual([bad]);
    expect({ unenforced, history }).toEqual({ unenforced: [], history: "whole" });
    expect(await refusedSerials(office)).toEqual([bad]);
    const [crl] = (await publishedCrls(office)).values();
    expect(crl?.revoked[0]).toMatchObject({ serial: bad, reason: 1 });
  });

  test("REV-04 an entry: all of it on every node, nothing of another; what is asked for afterwards is signed", async () => {
    const office = await openOffice();
    const [east, west] = [await office.node("east"), await office.node("west")];
    const [web, api] = [await office.entry("/web"), await office.entry("/api")];
    const bad = [...(await issued(east, web, 2)), ...(await issued(west, web))];
    await issued(east, api);
    await revoke(office, { kind: "entry", name: web.id });
    expect(await refusedSerials(office)).toEqual(bad.toSorted());
    await issued(east, web);
    expect(await refusedSerials(office)).toEqual(bad.toSorted());
  });

  test("REV-05 a node: everything that it holds, its own SVID too, and of no other node", async () => {
    const office = await openOffice();
    const [east, west] = [await office.node("east"), await office.node("west")];
    const web = await office.entry("/web");
    const bad = await issued(east, web, 2);
    await issued(west, web);
    const own = office.host.issuer.svids.page({ node: east.id, spiffeId: east.id }, all).svids;
    expect(own).toHaveLength(1);
    await revoke(office, { kind: "node", name: east.id });
    const expected = [...bad, ...own.map(({ serial }) => serial)].toSorted();
    expect(await refusedSerials(office)).toEqual(expected);
  });

  test("REV-04 an identity: all SVIDs that carry it", async () => {
    const office = await openOffice();
    const node = await office.node("east");
    const bad = await issued(node, await office.entry("/web"));
    await issued(node, await office.entry("/api"));
    await revoke(office, { kind: "id", name: "spiffe://example.org/web" });
    expect(await refusedSerials(office)).toEqual(bad);
  });

  test("REV-04 giving the order again changes nothing, and is audited", async () => {
    const office = await openOffice();
    const [bad = ""] = await issued(await office.node("east"), await office.entry("/web"));
    await revoke(office, bySerial(bad));
    const before = await revocations(office);
    const again = await revoke(office, bySerial(bad));
    expect({ revoked: again.revoked, already: again.already.length }).toEqual({
      revoked: [],
      already: 1,
    });
    expect(await revocations(office)).toEqual(before);
    const orders = office.host.audit.records.filter(
      ({ payload }) => payload.action.kind === "svids-revoked",
    );
    expect(orders).toHaveLength(2);
  });

  test("REV-04 one that nobody knows is refused with the cure, and then taken by its authority and end", async () => {
    const office = await openOffice();
    const serial = "40".repeat(16);
    await expect(revoke(office, bySerial(serial))).rejects.toMatchObject({ code: "SVID_UNKNOWN" });
    const authority = office.host.issuer.authorities.active()?.authority ?? "";
    const notAfter = office.clock.now() + hour;
    const of = (known: { authority: string; notAfter: number }) =>
      revoke(office, { kind: "serial", serial, known });
    await expect(of({ authority: "nobody", notAfter })).rejects.toMatchObject({
      code: "REVOCATION_INVALID",
    });
    await expect(of({ authority, notAfter: office.clock.now() })).rejects.toMatchObject({
      code: "REVOCATION_INVALID",
    });
    expect((await revocations(office)).crls).toEqual([]);
    await of({ authority, notAfter });
    expect(await refusedSerials(office)).toEqual([serial]);
  });

  test.for(["entry", "node", "id"] as const)(
    "REV-04 %s of which nothing is alive is refused",
    async (kind) => {
      const office = await openOffice();
      await expect(revoke(office, { kind, name: "nobody" })).rejects.toMatchObject({
        code: "SVID_UNKNOWN",
      });
    },
  );

  test("REV-04 services hear of it", async () => {
    const office = await openOffice();
    const events: string[] = [];
    const publish = new AbortController();
    const tail = office.host.bus.issuer("eyes").tailEvents({ since: 1, signal: publish.signal });
    const [bad = ""] = await issued(await office.node("east"), await office.entry("/web"));
    await revoke(office, bySerial(bad));
    await quiet();
    for await (const { bytes } of tail) {
      const event = JSON.parse(Buffer.from(bytes).toString("utf8")) as {
        type: string;
        data: { serial: string };
      };
      events.push(event.type);
      if (event.type !== "io.herald.svid.revoked.v1") continue;
      expect(event).toMatchObject({
        subject: "spiffe://example.org/web",
        data: { serial: bad, reason: "keyCompromise" },
      });
      publish.abort();
    }
    expect(events).toContain("io.herald.svid.revoked.v1");
  });
});

const all = { limit: 100, from: "" };

describe("order, and what survives", () => {
  test("INV-9 the audit record is there before anybody can read the CRL; without it nothing is revoked", async () => {
    const office = await openOffice();
    const { host } = office;
    const [bad = ""] = await issued(await office.node("east"), await office.entry("/web"));
    host.audit.up = false;
    await expect(revoke(office, bySerial(bad))).rejects.toMatchObject({
      code: "AUDIT_UNAVAILABLE",
    });
    expect((await revocations(office)).crls).toEqual([]);
    host.audit.up = true;
    const recorded: boolean[] = [];
    host.onStored = (key) => {
      if (key !== revocationsKey(office.domain.trustDomain)) return;
      const last = host.audit.records.at(-1)?.payload.action;
      recorded.push(
        last?.kind === "svids-revoked" && last.svids.some(({ serial }) => serial === bad),
      );
    };
    await revoke(office, bySerial(bad));
    expect(recorded).toEqual([true]);
  });

  test("REV-04 after a restart it is told as before, in a CRL with a higher number", async () => {
    const office = await openOffice();
    const [bad = ""] = await issued(await office.node("east"), await office.entry("/web"));
    await revoke(office, bySerial(bad));
    const [before] = (await publishedCrls(office)).values();
    await office.host.restart();
    const [after] = (await publishedCrls(office)).values();
    expect(after?.revoked).toEqual(before?.revoked);
    expect(after?.number).toBeGreaterThan(before?.number ?? 0n);
    const again = await revoke(office, bySerial(bad));
    expect(again.already).toHaveLength(1);
  });

  const crashes = [1, 2, 3].flatMap((append) => [0, 1, 2].map((kept) => ({ append, kept })));
  test.for(crashes)(
    "JRN-01 a crash in append $append, $kept kept: all of it or nothing, and never lost once answered",
    async (crash) => {
      const office = await openOffice();
      const { host } = office;
      const [bad = ""] = await issued(await office.node("east"), await office.entry("/web"));
      const answered: unknown[] = [];
      host.journal.crashAt(crash, () => host.kill());
      revoke(office, bySerial(bad)).then(
        (answer) => answered.push(answer),
        () => undefined,
      );
      await quiet();
      await quiet();
      await host.restart();
      const refused = await refusedSerials(office);
      const listed = host.issuer.svids.revoked().map(({ serial }) => serial);
      expect(refused).toEqual(listed);
      expect(refused).toEqual(answered.length > 0 || listed.length > 0 ? [bad] : []);
      await revoke(office, bySerial(bad));
      expect(await refusedSerials(office)).toEqual([bad]);
    },
  );

  test("REV-04 SVIDs from before the journal begins are read back from the audit stream", async () => {
    const office = await openOffice();
    const { host } = office;
    const node = await office.node("east");
    const web = await office.entry("/web");
    const bad = [...(await issued(node, web, 2)), ...(await issued(node, web))];
    await office.entry("/later");
    host.kill();
    const [newest] = host.journal.disk.filter(({ kind }) => kind === "audit").toReversed();
    host.journal = new MemoryJournal(
      host.journal.disk.filter((one) => one.kind !== "audit" || one === newest),
    );
    await host.start();
    // Given while it is still being read: carried out on what turns up.
    await host.issuer.svids.revokeNode(node.id);
    await office.clock.advance(100);
    expect(host.issuer.svids.history).toBe("whole");
    const refused = await refusedSerials(office);
    expect(refused).toEqual(expect.arrayContaining(bad));
  });

  test("TM-I-05 a stream that lost old records is alarmed, and says so to whoever asks", async () => {
    const office = await openOffice();
    const { host } = office;
    const node = await office.node("east");
    await issued(node, await office.entry("/web"));
    await office.entry("/later");
    host.kill();
    const [newest] = host.journal.disk.filter(({ kind }) => kind === "audit").toReversed();
    host.journal = new MemoryJournal(
      host.journal.disk.filter((one) => one.kind !== "audit" || one === newest),
    );
    host.audit.loseOldest(2);
    await host.start();
    await office.clock.advance(100);
    expect(host.issuer.svids.history).toBe("gap");
    expect(host.log.alarms).toContain("audit-gap");
  });
});

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
    expect(crl?.revoked.every(({ at }) => at <= (crl.thisUpdate ?? 0))).toBe(true);
  });
});

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
    await expect(host.issuer.revocations.revoke({ ...order, svids })).rejects.toMatchObject({
      code: "REVOCATIONS_FULL",
    });
    expect((await revocations(office)).crls).toEqual([]);
    await host.issuer.revocations.revoke({ ...order, svids: svids.slice(0, 8000) });
    expect(await refusedSerials(office)).toHaveLength(8000);
  });
});
