import { describe, expect, test } from "vitest";
import { claimOf, openEnvelope, sealEnvelope } from "../../src/core/envelope/envelope.ts";
import { bundleKey, groupIndexKey, token26 } from "../../src/core/envelope/object-keys.ts";
import type { StateObject } from "../../src/core/envelope/payloads.ts";
import { compareVersions, formatVersion, type Version } from "../../src/core/envelope/version.ts";
import { NodeView } from "../../src/events/node-view.ts";
import { payloadOf } from "../support/simulation-audit.ts";
import { issuerMember } from "../support/simulation-issuer.ts";
import { type Office, openOffice, operator } from "./support/office.ts";

type Snapshot = ReadonlyMap<string, Uint8Array>;

const store = async ({ host }: Office): Promise<Snapshot> =>
  await host.bus.issuer("eyes").loadAll();

/** The store is, byte for byte, what the issuer's journal holds. */
async function isMended(office: Office): Promise<boolean> {
  const held = await store(office);
  const journal = (await office.host.journal.load()).filter(({ kind }) => kind === "object");
  return journal.every(({ key, bytes }) =>
    Buffer.from(held.get(key) ?? []).equals(Buffer.from(bytes)),
  );
}

function rewind({ host }: Office, snapshot: Snapshot): void {
  host.bus.faults.destroy();
  for (const [key, bytes] of snapshot) host.bus.faults.forge(key, bytes);
}

describe("a broker that writes into the store by itself", () => {
  test.for<readonly [string, (office: Office, key: string) => Promise<void> | void]>([
    ["bytes of its own", ({ host }, key) => host.bus.faults.forge(key, Buffer.from('{"a":1}'))],
    [
      "a changed object",
      async (office, key) => {
        const bytes = new Uint8Array((await store(office)).get(key) ?? []);
        bytes[200] = (bytes[200] ?? 0) ^ 1;
        office.host.bus.faults.forge(key, bytes);
      },
    ],
    [
      "the object of another key",
      async (office, key) => {
        const other = (await store(office)).get(groupIndexKey) ?? new Uint8Array();
        office.host.bus.faults.forge(key, other);
      },
    ],
  ])(
    "TM-B-01: %s under an object's key is ignored, alarmed and overwritten",
    async ([, meddle]) => {
      const office = await openOffice();
      const { host } = office;
      const entry = await office.entry("/web");
      await meddle(office, `entry.${entry.id}`);
      await host.issuer.onBusBack();
      expect(host.log.alarms).toEqual(["unsigned"]);
      expect(host.counted("herald_issuer_store_alarms_total{unsigned}")).toBe(1);
      expect(host.issuer.entries.list().map(({ id }) => id)).toEqual([entry.id]);
      expect(await isMended(office)).toBe(true);
    },
  );

  test("TM-B-01: an entry that the broker makes up is no entry, also for the next process", async () => {
    const office = await openOffice();
    const { host } = office;
    const entry = await office.entry("/web");
    const real = (await store(office)).get(`entry.${entry.id}`) ?? new Uint8Array();
    host.bus.faults.forge("entry.mine", real);
    await host.issuer.onBusBack();
    await host.restart();
    expect(host.issuer.entries.list().length).toBe(1);
    expect(host.log.alarms).toEqual(["unsigned", "unsigned"]);
  });

  test("TM-B-02: an older value of an object is written over, and a deleted entry stays deleted", async () => {
    const office = await openOffice();
    const { host } = office;
    const entry = await office.entry("/web");
    await host.issuer.deleteEntry(entry.id, operator);
    host.bus.faults.rollback(`entry.${entry.id}`, 1);
    host.bus.faults.rollback(groupIndexKey, 1);
    await host.issuer.onBusBack();
    expect(host.issuer.entries.list()).toEqual([]);
    expect(await isMended(office)).toBe(true);
    host.bus.faults.rollback(`entry.${entry.id}`, 1);
    await host.restart();
    expect(host.issuer.entries.list()).toEqual([]);
    expect(await isMended(office)).toBe(true);
  });

  test("MEC-06: a later term than its own, which another process took, fences this one", async () => {
    const office = await openOffice();
    const { host } = office;
    const backup = host.journal.reopen();
    await host.restart();
    await office.entry("/by-the-newer");
    const newer = await store(office);
    // The disk of before, put back: it starts under the store's term, takes the next one, and the newer issuer's entry is there.
    host.kill();
    host.journal = backup;
    await host.start();
    expect(host.issuer.entries.list().length).toBe(1);
    // And one that runs while another leads: it is told so by the store, and writes no more.
    const [running, term] = [host.issuer, host.issuer.status().term];
    const later = await laterTerm(newer, office, term + 5n);
    host.bus.faults.forge("term.current", later);
    await running.onBusBack();
    expect(running.status().fenced).toBe(true);
    await expect(office.entry("/late")).rejects.toMatchObject({ code: "FENCED" });
  });
});

describe("a store that lost its newest writes (power cut)", () => {
  test.for(["noticed at the reconnection", "noticed at the next start"])(
    "BDL-17, TM-B-02: any earlier state is rebuilt from the journal, %s, and no version has two contents",
    async (when) => {
      const office = await openOffice();
      const { host } = office;
      const contents = new Map<string, string>();
      host.onStored = (key, bytes) => {
        if (key.startsWith("group.") && key !== groupIndexKey) return;
        const name = `${key} ${formatVersion(versionOf(bytes))}`;
        const { digest } = claimOf(bytes);
        expect(contents.get(name) ?? digest, name).toBe(digest);
        contents.set(name, digest);
      };
      const snapshots: Snapshot[] = [new Map()];
      const node = await office.node("east");
      const view = new NodeView({ trust: office.domain.trust(), node: node.id });
      const story = [
        async () => void (await office.entry("/one")),
        async () => void (await office.entry("/two", { kind: "ids", ids: [node.id] })),
        () => host.issuer.rotate(operator),
        async () => void (await office.token("west")),
        async () => void (await office.node("north")),
      ];
      for (const chapter of story) {
        snapshots.push(await store(office));
        await chapter();
      }
      const wanted = host.issuer.entries.list().map(({ id }) => id);
      await follow(office, view);
      for (const snapshot of snapshots) {
        rewind(office, snapshot);
        if (when === "noticed at the reconnection") await host.issuer.onBusBack();
        else await host.restart();
        expect(await isMended(office)).toBe(true);
        expect(host.issuer.entries.list().map(({ id }) => id)).toEqual(wanted);
        // What the node held before the cut keeps it from nothing that the issuer says after it.
        await office.clock.advance(1000);
        expect(await follow(office, view)).toEqual([]);
      }
      expect(host.log.alarms).toEqual([]);
    },
  );

  test("BDL-03: the bundle's sequence grows over power cuts and restarts", async () => {
    const office = await openOffice();
    const { host } = office;
    const sequences: bigint[] = [];
    for (let round = 0; round < 4; round += 1) {
      const bundle =
        (await store(office)).get(bundleKey(office.domain.trustDomain)) ?? new Uint8Array();
      const { payload } = openEnvelope(
        bundle,
        ["bundle"],
        office.domain.trust().at(office.clock.now()),
      );
      sequences.push(BigInt(/"spiffe_sequence":(\d+)/.exec(payload.document)?.[1] ?? "0"));
      host.bus.faults.destroy();
      await host.restart();
    }
    expect(
      sequences.every((sequence, at) => at === 0 || sequence > (sequences[at - 1] ?? 0n)),
    ).toBe(true);
  });

  test("INV-2: pages of the group index come back with the store, while the issuer runs", async () => {
    const office = await openOffice();
    const { host } = office;
    for (let at = 0; at < 40; at += 1) await office.entry(`/w${at}`);
    const before = await store(office);
    const pages = [...before.keys()].filter(
      (key) => key.startsWith("group.") && key !== groupIndexKey,
    );
    host.bus.faults.destroy();
    await host.issuer.onBusBack();
    const { pages: named } = payloadOf<{ pages: { key: string }[] }>(
      (await store(office)).get(groupIndexKey) ?? new Uint8Array(),
    );
    const after = await store(office);
    expect(pages.length).toBeGreaterThan(1);
    expect(named.filter(({ key }) => !after.has(key))).toEqual([]);
  });

  test("INV-2: a store that was rewound silently is mended by the first write that meets it, pages and all", async () => {
    const office = await openOffice();
    const { host } = office;
    for (let at = 0; at < 40; at += 1) await office.entry(`/w${at}`);
    host.bus.faults.destroy();
    await office
      .entry("/late")
      .catch((thrown: unknown) => expect(thrown).toMatchObject({ code: "STORE_PENDING" }));
    await office.clock.advance(3000);
    expect(host.issuer.entries.list().length).toBe(41);
    expect(await isMended(office)).toBe(true);
    const after = await store(office);
    const { pages: named } = payloadOf<{ pages: { key: string }[] }>(
      after.get(groupIndexKey) ?? new Uint8Array(),
    );
    expect(named.filter(({ key }) => !after.has(key))).toEqual([]);
  });

  test("JRN-02: a write whose acknowledgement was lost is not waited for for ever", async () => {
    const office = await openOffice();
    const { host } = office;
    host.bus.faults.loseAcks(issuerMember, 1);
    await expect(office.entry("/web")).rejects.toMatchObject({ code: "STORE_PENDING" });
    expect(host.issuer.status().pending).toBe(1);
    await office.clock.advance(2000);
    expect(host.issuer.status().pending).toBe(0);
  });
});

function versionOf(bytes: Uint8Array): Version {
  const { epoch, term, seq } = payloadOf<StateObject>(bytes).version;
  return { epoch: BigInt(epoch), term: BigInt(term), seq: BigInt(seq) };
}

/** Reads everything as a node does; what was refused, or went back. */
async function follow(office: Office, view: NodeView): Promise<readonly string[]> {
  const { host, clock } = office;
  const now = clock.now();
  const before = view.versions();
  const eyes = host.bus.node(token26("eyes"));
  const outcomes = view.offerHead(host.heads.at(-1) ?? new Uint8Array(), now);
  const refused = outcomes.flatMap((one) => (one.kind === "alarm" ? [one.reason] : []));
  for (const key of view.keys) {
    const bytes = (await eyes.read(key)) ?? new Uint8Array();
    refused.push(
      ...view
        .offer(bytes, now, key)
        .flatMap((one) => (one.kind === "alarm" ? [`${key}: ${one.reason}`] : [])),
    );
    const [was, is] = [before[key], view.versions()[key]];
    if (was !== undefined && (is === undefined || compareVersions(is, was) < 0))
      refused.push(`${key} went back`);
  }
  return refused;
}

/** A term that another process with the same control key took: signed as it would have been. */
async function laterTerm(held: Snapshot, office: Office, term: bigint): Promise<Uint8Array> {
  const { domain, clock } = office;
  const old = openEnvelope(
    held.get("term.current") ?? new Uint8Array(),
    ["term"],
    domain.trust().at(clock.now()),
  );
  const version = { ...old.payload.version, term, seq: old.payload.version.seq + 100_000n };
  return (await sealEnvelope("term", { ...old.payload, version }, domain.signer)).bytes;
}
