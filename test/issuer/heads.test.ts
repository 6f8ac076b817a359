import { describe, expect, test } from "vitest";
import { openEnvelope } from "../../src/core/envelope/envelope.ts";
import { groupIndexKey, manifestKey } from "../../src/core/envelope/object-keys.ts";
import type { Head } from "../../src/core/envelope/payloads.ts";
import { type Office, openOffice } from "./support/office.ts";

function opened({ domain, clock }: Office, head: Uint8Array | undefined): Head {
  const keys = domain.trust().at(clock.now());
  return openEnvelope(head ?? new Uint8Array(), ["head"], keys).payload;
}

function newest(office: Office): Head {
  return opened(office, office.host.heads.at(-1));
}

describe("heads", () => {
  test("MEC-07: a change is followed by a head that names it, within a second", async () => {
    const office = await openOffice();
    await office.clock.advance(2000);
    const before = newest(office);
    await office.entry("/web");
    await office.clock.advance(1000);
    const after = newest(office);
    expect(after.n).toBeGreaterThan(before.n);
    expect(after.objects[groupIndexKey]?.version.seq).toBeGreaterThan(
      before.objects[groupIndexKey]?.version.seq ?? 0n,
    );
    expect(after.merkleRoot).not.toBe(before.merkleRoot);
  });

  test("MEC-07: they come at every interval, at most one a second however fast the state changes, each with its number", async () => {
    const office = await openOffice();
    await office.clock.advance(60_000);
    const regular = office.host.heads.length;
    expect(regular).toBe(5);
    for (let at = 0; at < 20; at += 1) {
      await office.entry(`/w${at}`);
      await office.clock.advance(100);
    }
    const heads = office.host.heads.map((head) => opened(office, head));
    expect(heads.length - regular).toBeLessThanOrEqual(3);
    expect(heads.map(({ n }) => n)).toEqual(heads.map((_head, at) => BigInt(at + 1)));
    expect(heads.every(({ at, expires }) => expires - at === 45_000)).toBe(true);
  });

  test("MEC-07: while the store is away no head names what cannot be read", async () => {
    const office = await openOffice();
    await office.clock.advance(2000);
    office.host.bus.faults.partition("issuer");
    await office
      .entry("/web")
      .catch((thrown: unknown) => expect(thrown).toMatchObject({ code: "STORE_PENDING" }));
    office.host.bus.faults.heal("issuer");
    await office.clock.advance(5000);
    const store = await office.host.bus.issuer("eyes").loadAll();
    const { payload } = openEnvelope(
      store.get(groupIndexKey) ?? new Uint8Array(),
      ["group-index"],
      office.domain.trust().at(office.clock.now()),
    );
    expect(newest(office).objects[groupIndexKey]?.version).toEqual(payload.version);
  });

  test("MEC-07: a new leader's first head names nothing of an earlier term, and every manifest is signed anew before it", async () => {
    const office = await openOffice();
    const { host } = office;
    const node = await office.node("east");
    await office.clock.advance(2000);
    const before = host.heads.length;
    const stored: string[] = [];
    host.onStored = (key) => {
      if (host.heads.length === before) stored.push(key);
    };
    await host.restart();
    const [first] = host.heads.slice(before);
    const head = opened(office, first);
    const terms = Object.entries(head.objects)
      .filter(([key]) => key !== "control.current")
      .map(([, { version }]) => version.term);
    expect(terms).toEqual([head.term, head.term, head.term]);
    expect(stored).toContain(manifestKey(node.id));
  });
});
