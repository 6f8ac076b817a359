import { describe, expect, expectTypeOf, test } from "vitest";
import type { AuditRecord } from "../../src/core/envelope/audit-payloads.ts";
import { sha256Hex } from "../../src/core/envelope/pae.ts";
import type { Linted, lint, Recorded, sign } from "../../src/issuer/signing/issuance.ts";
import { csrOf, signItem, verdictOf } from "../support/simulation-asker.ts";
import type { ShownRecord } from "../support/simulation-audit.ts";
import { keyPair } from "../support/simulation-keys.ts";
import { quiet } from "../support/simulation-quiet.ts";
import { newEntry, openOffice, operator } from "./support/office.ts";

/** Follows from one record to the next. */
function isChain(records: readonly ShownRecord[]): boolean {
  let prev = "0".repeat(64);
  return records.every(({ digest, payload }, at) => {
    const follows = payload.prev === prev && BigInt(payload.n) === BigInt(at + 1);
    prev = digest;
    return follows;
  });
}

function verbs(records: readonly ShownRecord[]): readonly string[] {
  return records.flatMap(({ payload: { action } }) =>
    action.kind === "admin" ? [action.verb] : [],
  );
}

describe("no audit, no SVID (invariants 8 and 9)", () => {
  test("INV-8: the types take nothing to sign that is not recorded, and nothing recorded that is not linted", () => {
    expectTypeOf<Parameters<typeof sign>[0]>().toEqualTypeOf<Recorded>();
    expectTypeOf<Linted>().not.toExtend<Recorded>();
    expectTypeOf<ReturnType<typeof lint>>().toEqualTypeOf<Linted>();
    expectTypeOf<{ readonly tbs: Uint8Array }>().not.toExtend<Linted>();
  });

  test("INV-8: when an authority signs, the record of the very bytes is on disk and in the stream", async () => {
    const office = await openOffice();
    const { host } = office;
    const seen: boolean[] = [];
    host.keys.onSign = (_authority, tbs) => {
      const digest = sha256Hex(tbs);
      const last = host.audit.records.at(-1);
      const onDisk = host.journal.disk.findLast(({ kind }) => kind === "audit");
      const inStream = last !== undefined && JSON.stringify(last.payload.action).includes(digest);
      seen.push(inStream && payloadText(onDisk?.bytes).includes(digest));
    };
    const node = await office.node("east");
    const web = await office.entry("/web");
    const items = [await signItem(web), await signItem(web)];
    await node.send("sign-request", await node.signRequest(items));
    await node.send(
      "renew-request",
      await node.request("renew-request", { csr: await csrOf(keyPair()) }),
    );
    expect(seen).toEqual([true, true, true, true]);
  });

  test("INV-9: a batch is one record, and says of each SVID for whom it is", async () => {
    const office = await openOffice();
    const node = await office.node("east");
    const web = await office.entry("/web");
    const caller = { kind: "caller", selectors: ["unix:uid:1000"], pid: 42 } as const;
    const items = [await signItem(web), { ...(await signItem(web)), purpose: caller }];
    const bytes = await node.signRequest([], { payload: { items } });
    await node.send("sign-request", bytes);
    const action = office.host.audit.records.at(-1)?.payload.action;
    expect(action).toMatchObject({
      kind: "svids-issued",
      node: node.id,
      svids: [
        { spiffeId: web.spiffeId, entry: web.id, purpose: { kind: "kept-warm" } },
        { spiffeId: web.spiffeId, entry: web.id, purpose: caller },
      ],
    });
  });

  test("INV-9: while the stream is away nothing is signed, enrolled, renewed or ordered; after it, the chain is whole", async () => {
    const office = await openOffice();
    const { host } = office;
    const node = await office.node("east");
    const web = await office.entry("/web");
    const joinString = await office.token("west");
    let signed = 0;
    host.keys.onSign = () => {
      signed += 1;
    };
    host.audit.up = false;
    const items = [await signItem(web)];
    await expect(node.send("sign-request", await node.signRequest(items))).rejects.toMatchObject({
      code: "AUDIT_UNAVAILABLE",
    });
    await expect(office.stranger("west").enrol(joinString)).rejects.toMatchObject({
      code: "AUDIT_UNAVAILABLE",
    });
    await expect(office.entry("/late")).rejects.toMatchObject({ code: "AUDIT_UNAVAILABLE" });
    await expect(host.issuer.rotate(operator)).rejects.toMatchObject({ code: "AUDIT_UNAVAILABLE" });
    expect(signed).toBe(0);
    expect(host.issuer.entries.list().map(({ spiffeId }) => spiffeId)).toEqual([web.spiffeId]);
    host.audit.up = true;
    expect(verdictOf(await node.send("sign-request", await node.signRequest(items)))).toBe(
      "sign-reply",
    );
    expect(isChain(host.audit.records)).toBe(true);
  });

  test("INV-9: while the disk is away nothing is signed", async () => {
    const office = await openOffice();
    const { host } = office;
    const node = await office.node("east");
    const items = [await signItem(await office.entry("/web"))];
    let signed = 0;
    host.keys.onSign = () => {
      signed += 1;
    };
    host.journal.crashAt({ append: 1, kept: 0 });
    await expect(node.send("sign-request", await node.signRequest(items))).rejects.toMatchObject({
      code: "AUDIT_UNAVAILABLE",
    });
    expect(signed).toBe(0);
    await host.restart();
    await node.send("sign-request", await node.signRequest(items));
    expect(isChain(host.audit.records)).toBe(true);
  });

  test("TM-I-05: records that the stream lost are sent again at the next start, same bytes", async () => {
    const office = await openOffice();
    const { host } = office;
    await office.entry("/one");
    await office.entry("/two");
    const before = host.audit.records;
    host.audit.lose(3);
    await expect(host.issuer.onBusBack()).rejects.toMatchObject({ code: "AUDIT_BEHIND" });
    await host.restart();
    await host.issuer.createEntry(newEntry("/three"), operator);
    const after = host.audit.records;
    expect(after.slice(0, before.length)).toEqual(before);
    expect(verbs(after)).toEqual(["entry create", "entry create", "entry create"]);
    expect(isChain(after)).toBe(true);
  });

  test("TM-I-05: a record that a crash left in the stream alone is not missing when the stream loses it", async () => {
    const office = await openOffice();
    const { host } = office;
    host.journal.crashAt({ append: 1, kept: 0 }, () => host.kill());
    host.issuer.createEntry(newEntry("/one"), operator).catch(() => undefined);
    await quiet();
    await host.start();
    await office.entry("/two");
    host.audit.lose(2);
    await host.restart();
    await office.entry("/three");
    expect(verbs(host.audit.records)).toEqual(["entry create", "entry create", "entry create"]);
    expect(isChain(host.audit.records)).toBe(true);
  });

  test("TM-I-05: a record of the broker's own is alarmed, and the issuer's chain goes on from its journal", async () => {
    const office = await openOffice();
    const { host } = office;
    await office.entry("/one");
    host.kill();
    host.audit.forge(host.heads.at(-1) ?? new Uint8Array());
    await host.start();
    expect(host.log.alarms).toContain("audit-forged");
    await host.issuer.createEntry(newEntry("/two"), operator);
    const own = host.journal.disk
      .filter(({ kind }) => kind === "audit")
      .map(({ bytes }) => JSON.parse(payloadText(bytes)) as AuditRecord);
    expect(own.map(({ n }) => Number(n))).toEqual(own.map((_record, at) => at + 1));
  });

  test("TM-I-05: a second process of the same name is caught by the stream", async () => {
    const office = await openOffice();
    const { host } = office;
    const rival = host.audit.open();
    await rival.lastAudit("");
    await rival.appendAudit(
      "",
      host.journal.disk.findLast(({ kind }) => kind === "audit")?.bytes ?? new Uint8Array(),
    );
    await expect(office.entry("/one")).rejects.toMatchObject({ code: "AUDIT_UNAVAILABLE" });
  });
});

function payloadText(envelope: Uint8Array = new Uint8Array()): string {
  const { payload } = JSON.parse(Buffer.from(envelope).toString("utf8")) as { payload: string };
  return Buffer.from(payload, "base64").toString("utf8");
}
