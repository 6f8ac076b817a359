import { describe, expect, test } from "vitest";
import { openOffice, operator } from "./support/office.ts";
import {
  hourMs,
  published,
  recorded,
  statuses,
  step,
  tell,
  uses,
  waiting,
} from "./support/rotating.ts";

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
    expect(recorded(office).some((one) => one.includes(`passes: ${west.id}`))).toBe(true);
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
