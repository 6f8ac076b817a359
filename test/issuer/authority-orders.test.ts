import { describe, expect, test } from "vitest";
import { openOffice, operator } from "./support/office.ts";
import {
  hourMs,
  published,
  statuses,
  step,
  tell,
  theOnly,
  uses,
  waiting,
} from "./support/rotating.ts";

describe("single orders", () => {
  test("prepare, then activate: no root leaves; then revoke waits for the last SVID", async () => {
    const office = await openOffice();
    const { host } = office;
    const { orders } = host.issuer.ca;
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
    const { orders } = office.host.issuer.ca;
    const { authority } = await orders.prepare("uid 0");
    await office.host.issuer.rotate(operator);
    expect(office.host.issuer.rotation.progress()).toMatchObject({ to: authority });
    expect(office.host.issuer.authorities.list()).toHaveLength(2);
  });

  test("a prepared authority is revoked at once; the active one and strangers are refused, with what to do", async () => {
    const office = await openOffice();
    const { ca, authorities } = office.host.issuer;
    const { orders } = ca;
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
    const { ca, rotation } = office.host.issuer;
    const { orders } = ca;
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
    await host.issuer.ca.orders.prepare("uid 0");
    await host.issuer.ca.orders.activate("", "uid 0");
    await host.issuer.rotation.advance();
    expect((await published(office)).roots).toBe(2);
    await clock.advance(3 * hourMs + 5000);
    expect(statuses(office)).toEqual(["active", "expired"]);
    expect((await published(office)).roots).toBe(1);
  });

  test("an SVID that an operator was handed keeps its root", async () => {
    const office = await openOffice();
    const { ca, authorities } = office.host.issuer;
    const { orders } = ca;
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
    await host.issuer.ca.orders.taint(tainted?.authority ?? "", "uid 0");
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
    await host.issuer.ca.orders.taint(host.issuer.authorities.active()?.authority ?? "", "uid 0");
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
    const { ca, authorities, rotation } = host.issuer;
    const { orders } = ca;
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
    await host.issuer.ca.orders.taint(host.issuer.authorities.active()?.authority ?? "", "uid 0");
    await tell(office, node, old);
    expect((await published(office)).tainted).toEqual([second.active]);
    expect(statuses(office)).toEqual(["active", "old", "tainted"]);
  });
});
