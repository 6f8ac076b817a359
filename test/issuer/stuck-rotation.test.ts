import { describe, expect, test } from "vitest";
import { openOffice, operator } from "./support/office.ts";
import { hourMs, published, statuses, step } from "./support/rotating.ts";

const settings = {
  authorityLifetimeMs: 2 * hourMs,
  nodeTtlSeconds: 3600,
  defaultTtlSeconds: 600,
  maxTtlSeconds: 3600,
  mintMaxTtlSeconds: 600,
};

describe("a rotation that does not end", () => {
  test("paused past its activation, it gives way before the authority that signs ends", async () => {
    const office = await openOffice(settings);
    const { host, clock } = office;
    await office.node("east");
    await host.issuer.rotate(operator);
    await host.issuer.rotation.force("uid 0", true);
    expect(step(office)).toBe("reissue");
    await host.issuer.rotation.pause();
    const active = host.issuer.authorities.active();
    await clock.advance(3 * hourMs);
    const next = host.issuer.authorities.active();
    expect(next?.authority).not.toBe(active?.authority);
    expect(next?.notAfter).toBeGreaterThan(clock.now());
    expect((await published(office)).roots).toBe(1);
  });

  test("an authority whose key was lost before its activation signs nothing: another one is made", async () => {
    const office = await openOffice();
    const { host } = office;
    await office.node("east");
    await host.issuer.rotate(operator);
    const { to } = host.issuer.rotation.progress();
    await host.keys.delete(to);
    await host.issuer.rotation.force("uid 0", true);
    expect(host.issuer.authorities.find(to)?.status).toBe("revoked");
    expect(statuses(office)).toEqual(["active", "revoked"]);
  });

  test("a key that is lost while the rotation waits for the old SVIDs is replaced without waiting for them", async () => {
    const office = await openOffice();
    const { host, clock } = office;
    await office.node("east");
    await host.issuer.rotate(operator);
    await host.issuer.rotation.force("uid 0", true);
    const { to } = host.issuer.rotation.progress();
    await host.keys.delete(to);
    await host.restart();
    await clock.advance(70_000);
    const { rotation, step: next } = host.issuer.rotation.progress();
    expect({ next, from: host.issuer.rotation.progress().from }).toEqual({
      next: "prepare",
      from: to,
    });
    expect(rotation).not.toBe("");
  });
});
