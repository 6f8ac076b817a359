import { describe, expect, test } from "vitest";
import { parseBundle } from "../../src/core/bundle/document.ts";
import { bundleKey } from "../../src/core/envelope/object-keys.ts";
import type {
  Ack,
  AuthorityStatus,
  AuthorityUse,
  BundleState,
  ConsumerReport,
} from "../../src/core/envelope/payloads.ts";
import type { Version } from "../../src/core/envelope/version.ts";
import { parseCertificate } from "../../src/core/x509/certificate.ts";
import type { Waiting } from "../../src/issuer/gate.ts";
import type { Asker } from "../support/simulation-asker.ts";
import { payloadOf } from "../support/simulation-audit.ts";
import { quiet } from "../support/simulation-quiet.ts";
import { type Office, openOffice, operator } from "./support/office.ts";

const hourMs = 3_600_000;

interface Published {
  readonly version: Version;
  readonly sequence: bigint;
  readonly active: string;
  readonly tainted: readonly string[];
  readonly roots: number;
}

/** The bundle as nodes read it. */
async function published({ host, domain }: Office): Promise<Published> {
  const { trustDomain } = domain;
  const bytes = await host.bus.node("eyes").read(bundleKey(trustDomain));
  const { version, document, activeAuthority, taintedAuthorities } = payloadOf<BundleState>(
    bytes ?? new Uint8Array(),
  );
  const bundle = parseBundle(trustDomain, document);
  const { epoch, term, seq } = version;
  return {
    version: { epoch: BigInt(epoch), term: BigInt(term), seq: BigInt(seq) },
    sequence: bundle.sequence,
    active: activeAuthority,
    tainted: taintedAuthorities,
    roots: bundle.x509Authorities.length,
  };
}

/** What a node says that has applied the bundle, and whose only consumer is `consumer`. */
async function tell(office: Office, node: Asker, said: Partial<Ack>): Promise<void> {
  const { version } = await published(office);
  const applied = { [bundleKey(office.domain.trustDomain)]: version };
  await node.send("ack", await node.ackRequest({ applied, ...said }));
  await quiet();
}

function uses(office: Office, authority: string, forMs = hourMs): AuthorityUse {
  return { authority, svids: 1, until: office.clock.now() + forMs };
}

function step({ host }: Office): string {
  return host.issuer.rotation.progress().step;
}

function waiting({ host }: Office): readonly Waiting[] {
  return host.issuer.rotation.progress().waiting;
}

function statuses({ host }: Office): readonly string[] {
  return host.issuer.authorities
    .list()
    .map(({ status }) => status)
    .toSorted();
}

/** The only authority in a status. */
function theOnly({ host }: Office, status: AuthorityStatus): string {
  const found = host.issuer.authorities.list().filter((one) => one.status === status);
  expect(found.length).toBe(1);
  return found[0]?.authority ?? "";
}

/** Says of every authority what became of it, as the audit chain has it. */
function recorded({ host }: Office): readonly string[] {
  return host.audit.records.flatMap(({ payload: { action } }) =>
    action.kind === "authority" ? [`${action.status}: ${action.by}`] : [],
  );
}

/** A consumer that holds an SVID for an hour and has accepted the bundle of this sequence. */
function envoyAt(office: Office, sent: bigint, acknowledged: bigint): ConsumerReport {
  const { trustDomain } = office.domain;
  return {
    id: "sds-1-1",
    kind: "sds",
    connected: true,
    sent: { [trustDomain]: sent },
    acknowledged: { [trustDomain]: acknowledged },
    flushedAt: 0,
    heldUntil: office.clock.now() + hourMs,
    refusal: null,
  };
}

describe("rotating the authority", () => {
  test("INV-6: prepare, everybody has it, activate, nothing old is left, its root goes, done; each step outlives the issuer", async () => {
    const office = await openOffice();
    const { host } = office;
    const node = await office.node("east");
    const first = await published(office);
    await host.issuer.rotate(operator);
    expect(await published(office)).toMatchObject({ active: first.active, roots: 2 });
    expect(step(office)).toBe("prepare");
    await host.restart();
    expect(step(office)).toBe("prepare");
    expect(waiting(office)).toHaveLength(1);
    await tell(office, node, { authorities: [uses(office, first.active)] });
    const second = await published(office);
    expect(second.active).not.toBe(first.active);
    expect(second.roots).toBe(2);
    expect(step(office)).toBe("reissue");
    await host.restart();
    expect(step(office)).toBe("reissue");
    expect((await published(office)).active).toBe(second.active);
    // One SVID of the old authority is left.
    await tell(office, node, {
      authorities: [uses(office, first.active), uses(office, second.active)],
    });
    expect(step(office)).toBe("reissue");
    expect((await published(office)).roots).toBe(2);
    await tell(office, node, { authorities: [uses(office, second.active)] });
    expect(step(office)).toBe("remove");
    expect(await published(office)).toMatchObject({ active: second.active, roots: 1 });
    await host.restart();
    expect(step(office)).toBe("remove");
    await tell(office, node, { authorities: [uses(office, second.active)] });
    expect(step(office)).toBe("done");
    expect(statuses(office)).toEqual(["active", "revoked"]);
  });

  test("GATE-02: a consumer that refuses holds the rotation, is named, and lets it go on when it accepts", async () => {
    const office = await openOffice();
    const { host } = office;
    const node = await office.node("east");
    const first = await published(office);
    await host.issuer.rotate(operator);
    const { sequence } = await published(office);
    const envoy = envoyAt(office, sequence, first.sequence);
    await tell(office, node, {
      consumers: [{ ...envoy, refusal: { name: "ROOTCA", reason: "Invalid path" } }],
    });
    expect(waiting(office)).toMatchObject([
      { node: node.id, consumer: "sds-1-1", reason: "refused ROOTCA: Invalid path", blocks: true },
    ]);
    expect((await published(office)).active).toBe(first.active);
    await tell(office, node, { consumers: [envoyAt(office, sequence, sequence)] });
    expect((await published(office)).active).not.toBe(first.active);
  });

  test("GATE-03: a node that is alone and vanished is waited for until its SVID has ended, and no longer", async () => {
    const office = await openOffice({ nodeTtlSeconds: 3600 });
    await office.node("east");
    await office.host.issuer.rotate(operator);
    await office.clock.advance(hourMs - 10_000);
    expect(step(office)).toBe("prepare");
    await office.clock.advance(20_000);
    expect(step(office)).toBe("done");
  });

  test("GATE-06: of two nodes one vanishes: it is passed, named and audited; its root stays while its SVID may live", async () => {
    const office = await openOffice({ nodeTtlSeconds: 7200 });
    const { host, clock } = office;
    const east = await office.node("east");
    const west = await office.node("west");
    const first = await published(office);
    await host.issuer.rotate(operator);
    for (let minute = 0; minute < 16; minute += 1) {
      await tell(office, east, { authorities: [uses(office, first.active)] });
      await clock.advance(60_000);
    }
    expect(step(office)).toBe("reissue");
    expect(host.issuer.rotation.progress().passed).toEqual([
      { node: west.id, step: "prepare", why: "lost" },
    ]);
    expect(recorded(office).filter((one) => one.includes(`${west.id} (lost)`)).length).toBe(1);
    const second = await published(office);
    const told = { authorities: [uses(office, second.active, 3 * hourMs)] };
    await tell(office, east, told);
    expect(waiting(office)).toMatchObject([{ node: west.id, lost: true }]);
    expect((await published(office)).roots).toBe(2);
    await clock.advance(2 * hourMs - 17 * 60_000);
    await tell(office, east, told);
    expect(waiting(office)).toMatchObject([{ node: west.id, lost: true }]);
    await clock.advance(120_000);
    expect((await published(office)).roots).toBe(1);
    await tell(office, east, told);
    expect(step(office)).toBe("done");
  });

  test("GATE-06: an issuer, or a bus, that was away takes nobody for lost", async () => {
    const office = await openOffice();
    const { host, clock } = office;
    const east = await office.node("east");
    await office.node("west");
    await host.issuer.rotate(operator);
    await tell(office, east, {});
    host.kill();
    await clock.advance(hourMs);
    await host.start();
    await tell(office, east, {});
    await clock.advance(10 * 60_000);
    expect(step(office)).toBe("prepare");
    await host.issuer.onBusBack();
    await clock.advance(10 * 60_000);
    expect(step(office)).toBe("prepare");
    await tell(office, east, {});
    await clock.advance(6 * 60_000);
    expect(step(office)).toBe("reissue");
  });

  test("TM-R-01: an older acknowledgement of the same run of a node opens nothing", async () => {
    const office = await openOffice();
    const { host } = office;
    const node = await office.node("east");
    await host.issuer.rotate(operator);
    const { version } = await published(office);
    const applied = { [bundleKey(office.domain.trustDomain)]: version };
    await node.send("ack", await node.ackRequest({ counter: 9, applied: {} }));
    await node.send("ack", await node.ackRequest({ counter: 8, applied }));
    expect(step(office)).toBe("prepare");
  });

  test("INV-6: of two orders at once one is refused", async () => {
    const office = await openOffice();
    await office.node("east");
    const orders = await Promise.allSettled([1, 2].map(() => office.host.issuer.rotate(operator)));
    expect(orders.map(({ status }) => status).toSorted()).toEqual(["fulfilled", "rejected"]);
    expect(orders.find((order) => order.status === "rejected")?.reason).toMatchObject({
      code: "ROTATION_RUNNING",
    });
    expect(office.host.issuer.authorities.list()).toHaveLength(2);
    expect((await published(office)).roots).toBe(2);
  });

  test("INV-6: an authority of which two thirds are over is rotated without an order, to the end", async () => {
    const office = await openOffice({ authorityLifetimeMs: 3 * hourMs });
    const first = await published(office);
    await office.clock.advance(2 * hourMs - 10_000);
    expect((await published(office)).roots).toBe(1);
    await office.clock.advance(20_000);
    const second = await published(office);
    expect(second.active).not.toBe(first.active);
    expect(statuses(office)).toEqual(["active", "revoked"]);
    const active = office.host.issuer.authorities.active();
    expect(parseCertificate(Buffer.from(active?.certificate ?? "", "base64")).subjectKeyId).toBe(
      second.active,
    );
  });

  test("INV-6: an issuer that slept past the end of its authority begins anew by itself", async () => {
    const office = await openOffice({ authorityLifetimeMs: 3 * hourMs });
    const first = await published(office);
    office.host.kill();
    await office.clock.advance(4 * hourMs);
    await office.host.start();
    await office.clock.advance(5000);
    expect(statuses(office)).toEqual(["active", "expired"]);
    const second = await published(office);
    expect(second.active).not.toBe(first.active);
    expect(second.roots).toBe(1);
  });
});

describe("steering a rotation", () => {
  test("paused it takes no step, not even over a restart; resumed it goes on", async () => {
    const office = await openOffice();
    const { host } = office;
    const node = await office.node("east");
    await host.issuer.rotate(operator);
    await host.issuer.rotation.pause();
    await tell(office, node, {});
    await host.restart();
    await tell(office, node, {});
    await office.clock.advance(60_000);
    expect(host.issuer.rotation.progress()).toMatchObject({ step: "prepare", paused: true });
    await host.issuer.rotation.resume();
    await host.issuer.rotation.advance();
    expect(host.issuer.rotation.progress()).toMatchObject({ step: "reissue", paused: false });
  });

  test("a pause does not outlive the authority: in its last tenth the rotation goes on", async () => {
    const office = await openOffice({ authorityLifetimeMs: 5 * hourMs });
    await office.node("east");
    const first = await published(office);
    await office.host.issuer.rotate(operator);
    await office.host.issuer.rotation.pause();
    await office.clock.advance(4.4 * hourMs);
    expect((await published(office)).active).toBe(first.active);
    await office.clock.advance(0.2 * hourMs);
    expect((await published(office)).active).not.toBe(first.active);
  });

  test("aborted before its activation, the prepared root leaves; another rotation makes another", async () => {
    const office = await openOffice();
    const { host } = office;
    const node = await office.node("east");
    const first = await published(office);
    await host.issuer.rotate(operator);
    await host.issuer.rotation.abort("uid 0");
    expect(await published(office)).toMatchObject({ active: first.active, roots: 1 });
    expect(statuses(office)).toEqual(["active", "revoked"]);
    expect(step(office)).toBe("aborted");
    await host.issuer.rotate(operator);
    await tell(office, node, {});
    expect(statuses(office)).toEqual(["active", "old", "revoked"]);
  });

  test("aborted after its activation: refused, with what to do", async () => {
    const office = await openOffice();
    const node = await office.node("east");
    await office.host.issuer.rotate(operator);
    const { from } = office.host.issuer.rotation.progress();
    const old = await published(office);
    await tell(office, node, { authorities: [uses(office, old.active)] });
    await expect(office.host.issuer.rotation.abort("uid 0")).rejects.toMatchObject({
      code: "ROTATION_TOO_FAR",
      message: expect.stringContaining("--pause") as unknown,
    });
    expect(office.host.issuer.authorities.find(from)?.status).toBe("old");
  });

  test("without one under way there is nothing to steer", async () => {
    const { host } = await openOffice();
    const { rotation } = host.issuer;
    for (const order of [
      rotation.pause(),
      rotation.resume(),
      rotation.abort("uid 0"),
      rotation.force("uid 0", false),
    ])
      await expect(order).rejects.toMatchObject({ code: "ROTATION_NONE" });
  });

  test("a node that an operator passes by is waited for no more, and the audit names it", async () => {
    const office = await openOffice();
    const { host } = office;
    const east = await office.node("east");
    const west = await office.node("west");
    await host.issuer.rotate(operator);
    await tell(office, east, {});
    expect(waiting(office)).toMatchObject([{ node: west.id }]);
    await expect(
      host.issuer.rotation.passBy(office.stranger("nowhere").id, "uid 0"),
    ).rejects.toMatchObject({ code: "ROTATION_NODE" });
    await host.issuer.rotation.passBy(west.id, "uid 0");
    expect(step(office)).toBe("reissue");
    expect(recorded(office).some((one) => one.includes(`passes ${west.id}`))).toBe(true);
    expect(host.issuer.rotation.progress().passed).toEqual([
      { node: west.id, step: "prepare", why: "by hand" },
    ]);
  });

  test("INV-6: a root with one live SVID below it goes by force alone, which says first what it would cut off", async () => {
    const office = await openOffice();
    const { host } = office;
    const node = await office.node("east");
    const first = await published(office);
    await host.issuer.rotate(operator);
    await tell(office, node, { authorities: [uses(office, first.active)] });
    const use = uses(office, first.active, 2 * hourMs);
    await tell(office, node, { authorities: [use] });
    expect(step(office)).toBe("reissue");
    const named = [{ node: node.id, svids: 1, until: use.until }];
    expect(await host.issuer.rotation.force("uid 7", false)).toMatchObject(named);
    expect((await published(office)).roots).toBe(2);
    expect(await host.issuer.rotation.force("uid 7", true)).toMatchObject(named);
    expect((await published(office)).roots).toBe(1);
    const cutOff = `${node.id} (1 live SVID(s) of the old authority until ${new Date(use.until).toISOString()})`;
    expect(recorded(office).some((one) => one.includes("uid 7") && one.includes(cutOff))).toBe(
      true,
    );
  });

  test("a rotation that waits for an hour is alarmed, once an hour, with whom it waits for", async () => {
    const office = await openOffice();
    const { host, clock } = office;
    const node = await office.node("east");
    await host.issuer.rotate(operator);
    await clock.advance(hourMs - 10_000);
    const alarms = (): number => host.log.alarms.filter((one) => one === "rotation-waiting").length;
    expect(alarms()).toBe(0);
    await clock.advance(2 * hourMs + 20_000);
    expect(alarms()).toBe(3);
    expect(JSON.stringify(host.log.lines)).toContain(node.id);
  });
});

describe("single orders", () => {
  test("prepare, then activate: no root leaves; then revoke waits for the last SVID", async () => {
    const office = await openOffice();
    const { host } = office;
    const { authorityOrders: orders } = host.issuer;
    const node = await office.node("east");
    const first = await published(office);
    const next = await orders.prepare("uid 0");
    expect(await published(office)).toMatchObject({ active: first.active, roots: 2 });
    await expect(orders.prepare("uid 0")).rejects.toMatchObject({ code: "AUTHORITY_STATUS" });
    await orders.activate("", "uid 0");
    expect(step(office)).toBe("prepare");
    await tell(office, node, { authorities: [uses(office, first.active)] });
    expect(step(office)).toBe("done");
    expect(host.issuer.authorities.active()?.authority).toBe(next.authority);
    expect((await published(office)).roots).toBe(2);
    await orders.revoke(theOnly(office, "old"), "uid 0");
    const second = await published(office);
    await tell(office, node, { authorities: [uses(office, first.active)] });
    expect((await published(office)).roots).toBe(2);
    await tell(office, node, { authorities: [uses(office, second.active)] });
    expect((await published(office)).roots).toBe(1);
    await tell(office, node, { authorities: [uses(office, second.active)] });
    expect(step(office)).toBe("done");
  });

  test("what is prepared already is what a rotation brings into use", async () => {
    const office = await openOffice();
    const { authorityOrders: orders } = office.host.issuer;
    const { authority } = await orders.prepare("uid 0");
    await office.host.issuer.rotate(operator);
    expect(office.host.issuer.rotation.progress()).toMatchObject({ to: authority });
    expect(office.host.issuer.authorities.list()).toHaveLength(2);
  });

  test("a prepared authority is revoked at once; the active one and strangers are refused, with what to do", async () => {
    const office = await openOffice();
    const { authorityOrders: orders, authorities } = office.host.issuer;
    const { authority } = await orders.prepare("uid 0");
    await orders.revoke(authority, "uid 0");
    expect((await published(office)).roots).toBe(1);
    const active = authorities.active()?.authority ?? "";
    await expect(orders.revoke(active, "uid 0")).rejects.toMatchObject({
      code: "AUTHORITY_STATUS",
      message: expect.stringContaining("herald ca taint") as unknown,
    });
    await expect(orders.taint("nobody", "uid 0")).rejects.toMatchObject({
      code: "AUTHORITY_UNKNOWN",
    });
    await expect(orders.activate(authority, "uid 0")).rejects.toMatchObject({
      code: "AUTHORITY_STATUS",
    });
  });

  test("prune takes out what nobody holds, and says for whom the rest stays", async () => {
    const office = await openOffice();
    const { authorityOrders: orders, rotation } = office.host.issuer;
    const node = await office.node("east");
    const first = await published(office);
    await orders.prepare("uid 0");
    await orders.activate("", "uid 0");
    await tell(office, node, { authorities: [uses(office, first.active)] });
    expect(rotation.running()).toBeUndefined();
    await tell(office, node, { authorities: [uses(office, first.active)] });
    const old = theOnly(office, "old");
    expect(await orders.prune("uid 0")).toMatchObject({
      removed: [],
      kept: [{ authority: old, waiting: [{ node: node.id, svids: 1 }] }],
    });
    await tell(office, node, { authorities: [] });
    expect(await orders.prune("uid 0")).toEqual({ removed: [old], kept: [] });
    expect((await published(office)).roots).toBe(1);
  });

  test("an old authority that has ended leaves the bundle by itself, and is called expired", async () => {
    const office = await openOffice({ authorityLifetimeMs: 6 * hourMs });
    const { host, clock } = office;
    await clock.advance(3 * hourMs);
    await host.issuer.authorityOrders.prepare("uid 0");
    await host.issuer.authorityOrders.activate("", "uid 0");
    await host.issuer.rotation.advance();
    expect((await published(office)).roots).toBe(2);
    await clock.advance(3 * hourMs + 5000);
    expect(statuses(office)).toEqual(["active", "expired"]);
    expect((await published(office)).roots).toBe(1);
  });

  test("an SVID that an operator was handed keeps its root", async () => {
    const office = await openOffice();
    const { authorityOrders: orders, authorities } = office.host.issuer;
    const [first] = authorities.list();
    const until = office.clock.now() + hourMs;
    await authorities.noteMinted(first?.authority ?? "", until);
    await office.host.issuer.rotate(operator);
    expect(step(office)).toBe("reissue");
    expect(waiting(office)).toMatchObject([{ node: "", until }]);
    expect((await orders.prune("uid 0")).removed).toEqual([]);
    await office.clock.advance(hourMs + 5000);
    expect(step(office)).toBe("done");
  });
});

describe("a key in wrong hands", () => {
  test("the active authority is tainted by bringing another first; then it goes", async () => {
    const office = await openOffice();
    const { host } = office;
    const node = await office.node("east");
    const first = await published(office);
    const [tainted] = host.issuer.authorities.list();
    await host.issuer.authorityOrders.taint(tainted?.authority ?? "", "uid 0");
    expect(await published(office)).toMatchObject({ active: first.active, tainted: [], roots: 2 });
    await tell(office, node, { authorities: [uses(office, first.active)] });
    const second = await published(office);
    expect(second).toMatchObject({ tainted: [first.active], roots: 2 });
    expect(second.active).not.toBe(first.active);
    expect(statuses(office)).toEqual(["active", "tainted"]);
    await tell(office, node, { authorities: [uses(office, second.active)] });
    expect(await published(office)).toMatchObject({ tainted: [], roots: 1 });
    expect(statuses(office)).toEqual(["active", "revoked"]);
  });

  test("it does not wait a quarter of an hour for the silent, and not at all once they are named", async () => {
    const office = await openOffice();
    const { host, clock } = office;
    const east = await office.node("east");
    await office.node("west");
    const first = await published(office);
    await host.issuer.authorityOrders.taint(
      host.issuer.authorities.active()?.authority ?? "",
      "uid 0",
    );
    await tell(office, east, {});
    await clock.advance(100_000);
    await tell(office, east, {});
    expect((await published(office)).active).toBe(first.active);
    await clock.advance(25_000);
    expect((await published(office)).tainted).toEqual([first.active]);
  });

  test("an old authority is tainted at once, also while a rotation runs that is about another", async () => {
    const office = await openOffice();
    const { host, clock } = office;
    const { authorityOrders: orders, authorities, rotation } = host.issuer;
    const node = await office.node("east");
    const first = await published(office);
    const told = { authorities: [uses(office, first.active, 10 * hourMs)] };
    await orders.prepare("uid 0");
    await orders.activate("", "uid 0");
    await tell(office, node, told);
    const old = theOnly(office, "old");
    await host.issuer.rotate(operator);
    await orders.taint(old, "uid 0");
    expect((await published(office)).tainted).toEqual([first.active]);
    const { to } = rotation.progress();
    await tell(office, node, told);
    const now = await published(office);
    expect(authorities.active()?.authority).toBe(to);
    // The running one ends; then the tainted one's turn comes by itself.
    const fresh = { authorities: [uses(office, now.active)] };
    for (let turn = 0; turn < 4; turn += 1) {
      await tell(office, node, fresh);
      await clock.advance(2000);
    }
    expect(statuses(office)).toEqual(["active", "revoked", "revoked"]);
    expect(await published(office)).toMatchObject({ tainted: [], roots: 1 });
  });

  test("while the one before it still waits for its last SVIDs, the active one can be tainted", async () => {
    const office = await openOffice();
    const { host } = office;
    const node = await office.node("east");
    const first = await published(office);
    const old = { authorities: [uses(office, first.active, 10 * hourMs)] };
    await host.issuer.rotate(operator);
    await tell(office, node, old);
    await tell(office, node, old);
    expect(step(office)).toBe("reissue");
    const second = await published(office);
    await host.issuer.authorityOrders.taint(
      host.issuer.authorities.active()?.authority ?? "",
      "uid 0",
    );
    await tell(office, node, old);
    expect((await published(office)).tainted).toEqual([second.active]);
    expect(statuses(office)).toEqual(["active", "old", "tainted"]);
  });
});
