import { describe, expect, test } from "vitest";
import type { Entry } from "../../src/core/policy/entry.ts";
import { MemoryJournal } from "../support/memory-journal.ts";
import type { Asker } from "../support/simulation-asker.ts";
import { whileDying } from "./support/dying.ts";
import { type Office, openOffice } from "./support/office.ts";
import { issued, refusedSerials, revoke } from "./support/revocations.ts";

/** An issuer that was started with SVIDs alive of which only the audit stream tells, and cannot read them yet. */
async function forgetful(): Promise<{
  readonly office: Office;
  readonly node: Asker;
  readonly web: Entry;
  readonly old: readonly string[];
}> {
  const office = await openOffice();
  const { host } = office;
  const node = await office.node("east");
  const web = await office.entry("/web");
  const old = await issued(node, web, 2);
  await office.entry("/later");
  await office.clock.advance(2000);
  host.audit.readable = false;
  await forget(office);
  return { office, node, web, old };
}

/** Starts it again with the newest audit record alone in its journal. */
async function forget({ host }: Office): Promise<void> {
  host.kill();
  const [newest] = host.journal.disk.filter(({ kind }) => kind === "audit").toReversed();
  host.journal = new MemoryJournal(
    host.journal.disk.filter((one) => one.kind !== "audit" || one === newest),
  );
  await host.start();
}

describe("an order to revoke, given while the issuer reads its history", () => {
  test("REV-04 what is issued after the order, in place of what it ended, is not revoked with what turns up", async () => {
    const { office, node, web, old } = await forgetful();
    const known = await issued(node, web);
    const { history } = await revoke(office, { kind: "entry", name: web.id });
    expect(history).toBe("reading");
    await office.clock.advance(2000);
    await issued(node, web);
    office.host.audit.readable = true;
    await office.clock.advance(20_000);
    expect(office.host.issuer.svids.history).toBe("whole");
    expect(await refusedSerials(office)).toEqual([...old, ...known].toSorted());
  });

  test("JRN-01, REV-04 a crash before the history is read does not lose it", async () => {
    const { office, node, web, old } = await forgetful();
    const { host } = office;
    const known = await issued(node, web);
    await office.clock.advance(2000);
    await revoke(office, { kind: "entry", name: web.id });
    await office.entry("/latest");
    await forget(office);
    expect(await refusedSerials(office)).toEqual(known);
    host.audit.readable = true;
    await office.clock.advance(20_000);
    expect(await refusedSerials(office)).toEqual([...old, ...known].toSorted());
    const orders = (): number =>
      host.audit.records.filter(({ payload }) => payload.action.kind === "svids-revoked").length;
    const before = orders();
    await host.restart();
    await office.clock.advance(20_000);
    expect(orders()).toBe(before);
  });
});

describe("a crash between an eviction and its revocations", () => {
  test("JRN-01, REV-05 a node that enrols again at once keeps nothing of what it held before", async () => {
    const office = await openOffice();
    const { host, clock } = office;
    const east = await office.node("east");
    const web = await office.entry("/web");
    const old = await issued(east, web, 2);
    await clock.advance(2000);
    const crash = { append: 1, kept: 2 };
    await whileDying(host, crash, () => host.issuer.nodes.records.evict(east.id));
    expect(host.issuer.nodes.list()).toEqual([]);
    const again = await office.node("east");
    const young = await issued(again, web);
    await clock.advance(3000);
    const refused = await refusedSerials(office);
    expect(refused).toEqual(expect.arrayContaining([...old]));
    expect(refused).not.toContain(young[0]);
    expect(refused).toHaveLength(3);
  });
});
