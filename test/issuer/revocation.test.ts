import { describe, expect, test } from "vitest";
import { revocationsKey, revokedKey } from "../../src/core/envelope/object-keys.ts";
import { MemoryJournal } from "../support/memory-journal.ts";
import { quiet } from "../support/simulation-quiet.ts";
import { openOffice } from "./support/office.ts";
import {
  bySerial,
  issued,
  publishedCrls,
  refusedSerials,
  revocations,
  revoke,
  store,
} from "./support/revocations.ts";

const hour = 3_600_000;

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
    const own = office.host.issuer.svids.list({ node: east.id, spiffeId: east.id }, all).svids;
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

const all = { limit: 100, from: "", revoked: false };

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
