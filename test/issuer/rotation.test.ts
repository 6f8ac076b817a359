import { describe, expect, test } from "vitest";
import { bundleKey } from "../../src/core/envelope/object-keys.ts";
import { parseCertificate } from "../../src/core/x509/certificate.ts";
import { openOffice, operator } from "./support/office.ts";
import {
  envoyAt,
  hourMs,
  published,
  recorded,
  statuses,
  step,
  tell,
  uses,
  waiting,
} from "./support/rotating.ts";

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
