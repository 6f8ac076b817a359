import { describe, expect, test } from "vitest";
import { type Asker, verdictOf } from "../support/simulation-asker.ts";
import { quiet } from "../support/simulation-quiet.ts";
import { storeIsWhole, whileDying } from "./support/dying.ts";
import { newEntry, openOffice, operator } from "./support/office.ts";

/** No order of these tests takes more appends than this, and none of its appends has more records. */
const appends = [1, 2, 3, 4];
const kept = [0, 1, 2, 3, 4];
const crashes = appends.flatMap((append) => kept.map((records) => ({ append, kept: records })));

describe("an issuer that dies in a write, and what is left (JRN-01)", () => {
  test.for(crashes)("creating an entry: append $append, $kept kept", async (crash) => {
    const office = await openOffice();
    const { host } = office;
    const node = await office.node("east");
    const before = await office.entry("/before");
    const nodes = { kind: "ids", ids: [node.id] } as const;
    const done = await whileDying(host, crash, () =>
      host.issuer.createEntry(newEntry("/web", nodes), operator),
    );
    const ids = host.issuer.entries.list().map(({ id }) => id);
    expect(ids).toContain(before.id);
    if (done !== undefined) expect(ids).toContain(done.answer.id);
    await storeIsWhole(office);
    // Whoever was not answered gives the order again; that it was half done stands in nobody's way.
    await host.issuer
      .createEntry(newEntry("/web", nodes), operator)
      .catch((thrown: unknown) => expect(thrown).toMatchObject({ code: "ENTRY_EXISTS" }));
    expect(host.issuer.entries.list().length).toBe(2);
  });

  test.for(crashes)("enrolling: append $append, $kept kept", async (crash) => {
    const office = await openOffice();
    const { host } = office;
    const joinString = await office.token("east");
    const node = office.stranger("east");
    const bytes = await node.enrolRequest(joinString);
    await whileDying(host, crash, () => host.issuer.reception.enrol(bytes));
    // The same key gets in with the same request or another, and nobody else with that token if it was used.
    expect(verdictOf(await node.enrol(joinString))).toBe("enrol-reply");
    expect(verdictOf(await office.stranger("east").enrol(joinString))).toBe("TOKEN_USED");
    expect(await speaks(node)).toBe("ack-reply");
    await storeIsWhole(office);
  });

  test.for(crashes)("beginning a rotation: append $append, $kept kept", async (crash) => {
    const office = await openOffice();
    const { host } = office;
    await office.node("east");
    const [first] = host.issuer.authorities.list();
    await whileDying(host, crash, () => host.issuer.rotate(operator));
    // A live node has acknowledged nothing: whatever was left behind, the first authority signs on.
    expect(host.issuer.authorities.active()?.authority).toBe(first?.authority);
    await storeIsWhole(office);
    if (host.issuer.rotation.running() === undefined) await host.issuer.rotate(operator);
    expect(host.issuer.rotation.progress().step).toBe("prepare");
  });

  test.for(crashes)("activating an authority: append $append, $kept kept", async (crash) => {
    const office = await openOffice();
    const { host } = office;
    const [first] = host.issuer.authorities.list();
    // Nobody is there to be waited for, so the gate opens at once.
    await whileDying(host, { ...crash, append: crash.append + 1 }, () =>
      host.issuer.rotate(operator),
    );
    await office.clock.advance(5000);
    const { authorities, rotation } = host.issuer;
    if (rotation.progress().rotation === "") await host.issuer.rotate(operator);
    expect(rotation.progress().step).toBe("done");
    const active = authorities.list().filter(({ status }) => status === "active");
    expect(active.length).toBe(1);
    expect(active[0]?.authority).not.toBe(first?.authority);
    expect(authorities.find(first?.authority ?? "")?.status).toBe("revoked");
    await storeIsWhole(office);
  });

  test.for(crashes)("the start itself: append $append, $kept kept", async (crash) => {
    const office = await openOffice();
    const { host } = office;
    const entry = await office.entry("/web");
    const [first] = host.issuer.authorities.list();
    host.kill();
    host.journal.crashAt(crash, () => host.kill());
    host.start().catch(() => undefined);
    await quiet();
    if (host.running === undefined) await host.start();
    expect(host.issuer.entries.list().map(({ id }) => id)).toEqual([entry.id]);
    expect(host.issuer.authorities.active()?.authority).toBe(first?.authority);
    await storeIsWhole(office);
  });
});

async function speaks(node: Asker): Promise<string> {
  return verdictOf(await node.send("ack", await node.ackRequest({})));
}
