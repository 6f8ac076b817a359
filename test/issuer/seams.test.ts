import { describe, expect, test } from "vitest";
import { parseSelector } from "../../src/core/spiffe/selector.ts";
import { parseSpiffeId } from "../../src/core/spiffe/spiffe-id.ts";
import { createCsr } from "../../src/core/x509/csr.ts";
import { MemoryJournal } from "../support/memory-journal.ts";
import { signItem, verdictOf } from "../support/simulation-asker.ts";
import { keyPair } from "../support/simulation-keys.ts";
import { quiet } from "../support/simulation-quiet.ts";
import { enrolMachine, machine, machineOffice, operatorCa, textOf } from "./support/machine.ts";
import { newEntry, type Office, openOffice, operator } from "./support/office.ts";
import { hourMs, published } from "./support/rotating.ts";

/** What one part of the issuer promises, and another could break. */

const domain = parseSpiffeId("spiffe://example.org");

async function templateEntry(office: Office) {
  const template = "spiffe://example.org/{unix.user}";
  const wanted = { ...newEntry("/x"), spiffeId: domain, template };
  return await office.host.issuer.createEntry(wanted, operator);
}

async function asUser(office: Office, user: string, node = "edge") {
  const entry = await templateEntry(office);
  const asker = await office.node(node);
  const selectors = ["unix:uid:1000", `unix:user:${user}`].map(parseSelector);
  return async () => {
    const purpose = { kind: "caller", selectors, pid: 7 } as const;
    const item = { ...(await signItem(entry)), purpose };
    const answer = await asker.send("sign-request", await asker.signRequest([item]));
    return answer.kind === "sign-reply" ? answer.payload.results : [];
  };
}

describe("TM-N-01: templates", () => {
  test("a node cannot fill one in so that it becomes the identity of an entry for other nodes", async () => {
    const office = await openOffice();
    const ops = await office.node("ops");
    const ask = await asUser(office, "admin");
    const nodes = { kind: "ids", ids: [ops.id] } as const;
    expect(await ask()).toMatchObject([{ ok: true }]);
    await office.host.issuer.createEntry({ ...newEntry("/admin", nodes), admin: true }, operator);
    expect(await ask()).toMatchObject([{ ok: false, code: "LINT" }]);
  });

  test("nor a caller into one of this node's entries whose selectors it lacks; with them it may", async () => {
    const office = await openOffice();
    const ask = await asUser(office, "web");
    const wanted = newEntry("/web");
    const entry = await office.host.issuer.createEntry(
      { ...wanted, selectors: [parseSelector("systemd:id:web.service")] },
      operator,
    );
    expect(await ask()).toMatchObject([{ ok: false, code: "LINT" }]);
    await office.host.issuer.deleteEntry(entry.id, operator);
    await office.host.issuer.createEntry(wanted, operator);
    expect(await ask()).toMatchObject([{ ok: true }]);
  });
});

describe("TM-N-01: labels", () => {
  test("what a certificate said of its machine goes when the next one says it no more", async () => {
    const ca = operatorCa();
    const labels = { tier: textOf("{uri:urn:tier:}") };
    const office = await machineOffice(ca, { labels });
    await enrolMachine(office, machine(ca, "web-1", { uris: ["urn:tier:vault"] }));
    const [before] = office.host.issuer.nodes.list();
    expect(before?.labels).toEqual({ tier: "vault" });
    await enrolMachine(office, machine(ca, "web-1", { uris: [] }));
    const [after] = office.host.issuer.nodes.list();
    expect(after?.labels).toEqual({});
  });
});

describe("INV-6: a root with a live SVID below it stays", () => {
  test("also when the journal has forgotten the SVID and its node is gone: the audit stream has not", async () => {
    const office = await openOffice({ nodeTtlSeconds: 600 });
    const { host, clock } = office;
    const node = await office.node("east");
    const web = await office.entry("/web");
    await node.send("sign-request", await node.signRequest([await signItem(web)]));
    await office.entry("/other");
    host.kill();
    // As a compaction leaves it: the newest records alone.
    const { disk } = host.journal;
    const last = disk.findLast(({ kind }) => kind === "audit");
    host.journal = new MemoryJournal(disk.filter((one) => one.kind !== "audit" || one === last));
    await host.start();
    await quiet();
    await host.issuer.rotate(operator);
    await clock.advance(20 * 60_000);
    expect((await published(office)).roots).toBe(2);
    await clock.advance(hourMs);
    expect((await published(office)).roots).toBe(1);
  });
});

describe("TM-N-04: a node that was taken out", () => {
  test("loses what it held even when the issuer dies behind the order and somebody takes its name before the next tick", async () => {
    const office = await openOffice();
    const { host, clock } = office;
    const node = await office.node("east");
    const web = await office.entry("/web");
    await node.send("sign-request", await node.signRequest([await signItem(web)]));
    const held = host.issuer.svids.list({ node: node.id }, { limit: 9, from: "", revoked: false });
    expect(held.svids).toHaveLength(2);
    host.journal.crashAt({ append: 2, kept: 0 }, () => host.kill());
    await host.issuer.nodes.records.evict(node.id).catch(() => undefined);
    await quiet();
    await host.start();
    expect(host.issuer.svids.revoked()).toEqual([]);
    const successor = office.stranger("east");
    expect(verdictOf(await successor.enrol(await office.token("east")))).toBe("enrol-reply");
    await clock.advance(5000);
    const revoked = host.issuer.svids.revoked().map(({ serial }) => serial);
    expect(revoked.toSorted()).toEqual(held.svids.map(({ serial }) => serial).toSorted());
  });
});

describe("the auditor", () => {
  test("MEC-12: reads of a join token which labels it gives, and of a minted SVID which DNS names", async () => {
    const office = await openOffice();
    const { host } = office;
    await office.token("east", { role: "vault" });
    expect(host.audit.records.at(-1)?.payload.action).toMatchObject({
      kind: "admin",
      verb: "node token --label role=vault",
      subject: "east",
    });
    await host.issuer.svids.minting.mint({
      spiffeId: parseSpiffeId("spiffe://example.org/db"),
      csr: await createCsr(keyPair()),
      ttlSeconds: 0,
      dnsNames: ["db.internal"],
      reason: "INC-1",
      by: operator,
    });
    await host.restart();
    expect(
      host.audit.records.findLast(({ payload }) => payload.action.kind === "svid-minted"),
    ).toMatchObject({ payload: { action: { dnsNames: ["db.internal"] } } });
  });
});
