import { describe, expect, test } from "vitest";
import type { Entry } from "../../src/core/policy/entry.ts";
import { type Asker, csrOf, signItem } from "../support/simulation-asker.ts";
import { keyPair } from "../support/simulation-keys.ts";
import { storeIsWhole, whileDying } from "./support/dying.ts";
import { newEntry, type Office, openOffice, operator } from "./support/office.ts";
import { bundleIsCovered, bySerial, issued, publishedCrls, revoke } from "./support/revocations.ts";
import { theOnly } from "./support/rotating.ts";

interface Scene {
  readonly office: Office;
  readonly east: Asker;
  readonly web: Entry;
  readonly serial: string;
}

interface Verb {
  readonly name: string;
  readonly order: (scene: Scene) => Promise<unknown>;
  /** What holds once it was answered, or was given again. */
  readonly holds: (scene: Scene) => Promise<void> | void;
}

const by = "uid 0";
const carried = ({ office }: Scene, run: () => Promise<unknown>): Promise<unknown> =>
  office.host.issuer.carryOut({ verb: "node test", subject: "east", by: operator }, run);
const records = ({ office }: Scene) => office.host.issuer.nodes.records;

function cutOff({ office, east }: Scene): void {
  const { svids } = office.host.issuer;
  const held = svids.list({ node: east.id }, { limit: 99, from: "", revoked: false }).svids;
  const revoked = new Set(svids.revoked().map(({ serial }) => serial));
  expect(held.length).toBeGreaterThan(0);
  for (const { serial } of held) expect(revoked).toContain(serial);
}

function declaredPaths({ office }: Scene): readonly string[] {
  const { entries } = office.host.issuer;
  return entries.list().flatMap(({ set, spiffeId }) => (set === "team" ? [spiffeId] : []));
}

const verbs: readonly Verb[] = [
  { name: "ban", order: (s) => carried(s, () => records(s).ban(s.east.id)), holds: cutOff },
  {
    name: "evict",
    order: (s) =>
      carried(s, async () => {
        // Given again, there may be nobody left.
        if (
          records(s)
            .list()
            .some(({ node }) => node === s.east.id)
        )
          await records(s).evict(s.east.id);
      }),
    holds: cutOff,
  },
  {
    name: "label",
    order: (s) =>
      carried(s, () => records(s).label(s.east.id, { set: new Map([["zone", "a"]]), remove: [] })),
    holds: (s) => expect(records(s).find("east").labels).toEqual({ zone: "a" }),
  },
  {
    name: "apply, beside a create",
    order: async (s) => {
      const wanted = [newEntry("/a"), newEntry("/b", { kind: "ids", ids: [s.east.id] })];
      const { entryOrders } = s.office.host.issuer;
      await Promise.all([
        entryOrders.apply({ set: "team", wanted, prune: true, allowed: new Set() }, operator),
        s.office.entry("/single").catch((thrown: unknown) => {
          if (!(thrown instanceof Error) || !("code" in thrown) || thrown.code !== "ENTRY_EXISTS")
            throw thrown;
        }),
      ]);
    },
    holds: (s) =>
      expect(declaredPaths(s).toSorted()).toEqual([
        "spiffe://example.org/a",
        "spiffe://example.org/b",
      ]),
  },
  {
    name: "revoke of the node",
    order: (s) => revoke(s.office, { kind: "node", name: s.east.id }),
    holds: cutOff,
  },
  {
    name: "prepare",
    order: (s) =>
      s.office.host.issuer.ca.orders.prepare(by).catch((thrown: unknown) => {
        if (!(thrown instanceof Error) || !thrown.message.includes("is prepared already"))
          throw thrown;
      }),
    holds: (s) => expect(theOnly(s.office, "prepared")).not.toBe(""),
  },
  {
    name: "mint",
    order: async (s) =>
      await s.office.host.issuer.svids.minting.mint({
        spiffeId: newEntry("/minted").spiffeId,
        dnsNames: [],
        ttlSeconds: 600,
        csr: Buffer.from(await csrOf(keyPair()), "base64"),
        reason: "recovery",
        by: operator,
      }),
    holds: (s) =>
      expect(s.office.host.issuer.authorities.active()?.mintedUntil).toBeGreaterThan(
        s.office.clock.now(),
      ),
  },
  {
    name: "sign",
    order: async (s) => {
      const request = await s.east.signRequest([await signItem(s.web)]);
      return await s.office.host.issuer.reception.handle({
        kind: "sign",
        node: s.east.token,
        bytes: request,
      });
    },
    holds: () => undefined,
  },
];

const appends = [1, 2, 3, 4];
const kept = [0, 1, 2, 3];
const cases = verbs.flatMap((verb) =>
  appends.flatMap((append) => kept.map((left) => ({ verb, name: verb.name, append, kept: left }))),
);

describe("an issuer that dies in a write while CRLs are in force (JRN-01)", () => {
  test.for(cases)("$name: append $append, $kept kept", async ({ verb, append, kept: left }) => {
    const office = await openOffice();
    const east = await office.node("east");
    const web = await office.entry("/web");
    const [serial = ""] = await issued(await office.node("west"), web);
    await issued(east, web);
    await revoke(office, bySerial(serial));
    const scene: Scene = { office, east, web, serial };
    const done = await whileDying(office.host, { append, kept: left }, () => verb.order(scene));
    await office.clock.advance(3000);
    if (done === undefined) {
      await verb.order(scene);
      await office.clock.advance(3000);
    }
    await verb.holds(scene);
    expect(office.host.issuer.svids.revoked().map((one) => one.serial)).toContain(serial);
    expect(await bundleIsCovered(office)).toBe(true);
    const trusted = office.host.issuer.authorities.trusted().map(({ authority }) => authority);
    expect([...(await publishedCrls(office)).keys()].toSorted()).toEqual(trusted.toSorted());
    await storeIsWhole(office);
  });
});
