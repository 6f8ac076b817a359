import { describe, expect, test } from "vitest";
import { MemoryJournal } from "../support/memory-journal.ts";
import { type Office, openOffice, operator } from "./support/office.ts";
import { issued } from "./support/revocations.ts";
import { published, step, waiting } from "./support/rotating.ts";

const minuteMs = 60_000;
const settings = { nodeTtlSeconds: 900, defaultTtlSeconds: 3600, maxTtlSeconds: 3600 };

/** An issuer in the midst of a rotation, started again when its journal holds nothing of a silent node's SVID any more. */
async function restarted(readable: boolean) {
  const office = await openOffice(settings);
  const { host, clock } = office;
  await issued(await office.node("east"), await office.entry("/web"));
  await host.issuer.rotate(operator);
  await host.issuer.rotation.force("uid 0", true);
  expect(step(office)).toBe("reissue");
  host.kill();
  const [newest] = host.journal.disk.filter(({ kind }) => kind === "audit").toReversed();
  host.journal = new MemoryJournal(
    host.journal.disk.filter((one) => one.kind !== "audit" || one === newest),
  );
  host.audit.readable = readable;
  await host.start();
  // The node's own SVID ends, what it was given for a workload lives.
  await clock.advance(20 * minuteMs);
  return office;
}

describe("a removal after a restart, with more issued than the journal holds (INV-6, GATE-02)", () => {
  test("what the audit stream tells of a node that vanished is waited for", async () => {
    const office = await restarted(true);
    expect(office.host.issuer.svids.history).toBe("whole");
    expect(step(office)).toBe("reissue");
    expect((await published(office)).roots).toBe(2);
    await office.clock.advance(45 * minuteMs);
    expect(step(office)).toBe("done");
  });

  test("no root leaves before the stream was read back, or everything below it has ended", async () => {
    const office = await restarted(false);
    expect(step(office)).toBe("reissue");
    expect(waiting(office).map(({ reason }) => reason)).toEqual([
      "the issuer is reading back which SVIDs it signed before it was started",
    ]);
    await office.clock.advance(45 * minuteMs);
    expect(step(office)).toBe("done");
  });
});

describe("a removal with nothing restarted, or everything kept (INV-6, GATE-02)", () => {
  test.for([
    ["the same process", async () => undefined],
    ["a process that has the whole journal", async (host: Office["host"]) => await host.restart()],
  ] as const)("%s waits for what a node was given before it vanished", async ([, after]) => {
    const office = await openOffice(settings);
    const { host, clock } = office;
    await issued(await office.node("east"), await office.entry("/web"));
    await after(host);
    await host.issuer.rotate(operator);
    await host.issuer.rotation.force("uid 0", true);
    await clock.advance(20 * minuteMs);
    expect(step(office)).toBe("reissue");
    expect((await published(office)).roots).toBe(2);
    await clock.advance(45 * minuteMs);
    expect(step(office)).toBe("done");
  });
});
