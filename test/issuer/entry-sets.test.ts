import { describe, expect, test } from "vitest";
import {
  entryPageKey,
  entrySetKey,
  groupIndexKey,
  manifestKey,
} from "../../src/core/envelope/object-keys.ts";
import type { GroupIndexState } from "../../src/core/envelope/payloads.ts";
import type { Entry, NewEntry, NodeSelection } from "../../src/core/policy/entry.ts";
import type { Declaration } from "../../src/issuer/entries/declaration.ts";
import { cutPages } from "../../src/issuer/entries/entry-sets.ts";
import { payloadOf } from "../support/simulation-audit.ts";
import { quiet } from "../support/simulation-quiet.ts";
import { newEntry, type Office, openOffice, operator } from "./support/office.ts";
import { manifestIn, published } from "./support/published.ts";

const declaration = (
  wanted: readonly NewEntry[],
  bend: Partial<Declaration> = {},
): Declaration => ({
  set: "shop",
  wanted,
  prune: true,
  allowed: new Set(),
  ...bend,
});

const many = (count: number, bend: Partial<NewEntry> = {}): readonly NewEntry[] =>
  Array.from({ length: count }, (_, at) => ({ ...newEntry(`/w${at}`), name: `w${at}`, ...bend }));

const apply = async (
  { host }: Office,
  wanted: readonly NewEntry[],
  bend: Partial<Declaration> = {},
) => await host.issuer.entryOrders.apply(declaration(wanted, bend), operator);

const hintsOf = (entries: readonly Entry[]): ReadonlySet<string> =>
  new Set(entries.map(({ hint }) => hint));

describe("a declared set", () => {
  test("is made, changed and pruned as declared; another team's set and single entries stay", async () => {
    const office = await openOffice();
    const { issuer } = office.host;
    await office.entry("/single");
    await apply(office, many(40));
    await apply(office, [{ ...newEntry("/other"), name: "w0" }], { set: "others" });
    const before = new Map(issuer.entries.list().map((entry) => [entry.spiffeId, entry]));
    const wanted = many(40)
      .slice(1)
      .map((one, at) => (at === 0 ? { ...one, hint: "new" } : one));
    const { steps } = await apply(office, wanted);
    const kinds = steps.map(({ kind }) => kind);
    expect(kinds.filter((kind) => kind !== "unchanged").toSorted()).toEqual([
      "undeclared",
      "update",
    ]);
    const after = issuer.entries.list();
    expect(after.length).toBe(41);
    // Only what changed has a new revision: nodes sign nothing else anew.
    expect(
      after
        .filter(({ spiffeId, revision }) => before.get(spiffeId)?.revision !== revision)
        .map(({ hint }) => hint),
    ).toEqual(["new"]);
    expect((await published(office)).length).toBe(41);
  });

  test("a dry run and a refused entry change nothing", async () => {
    const office = await openOffice();
    const { issuer } = office.host;
    expect(issuer.entries.plan(declaration(many(3))).steps.length).toBe(3);
    const bad = { ...newEntry("/bad"), dnsNames: ["no name"] };
    await expect(apply(office, [...many(3), bad])).rejects.toMatchObject({
      message: expect.stringMatching(
        /^entry 4 \(spiffe:.*\/bad\): dns-name: .*\(ENT-DNS\)/,
      ) as string,
    });
    const twin = { ...newEntry("/w0"), hint: "twin" };
    await expect(apply(office, [...many(3), twin])).rejects.toMatchObject({
      code: "ENTRY_INVALID",
    });
    await office.entry("/w0");
    await expect(apply(office, many(3))).rejects.toMatchObject({ code: "ENTRY_EXISTS" });
    expect(issuer.entries.list().length).toBe(1);
  });

  test("an entry of it can be changed alone, and the next apply puts it back", async () => {
    const office = await openOffice();
    const { issuer } = office.host;
    await apply(office, many(3));
    const [entry] = issuer.entries.list();
    if (entry === undefined) throw new RangeError("no entry");
    await issuer.deleteEntry(entry.id, operator);
    expect(issuer.entries.list().length).toBe(2);
    await office.host.restart();
    expect(office.host.issuer.entries.list().length).toBe(2);
    await apply(office, many(3));
    expect(office.host.issuer.entries.list().length).toBe(3);
  });

  test("ENT-SWITCH: a crash at any write leaves the old set whole or the new one, for the issuer and for nodes", async () => {
    const seen = new Set<string>();
    for (let append = 1; append <= 3; append += 1) {
      for (let kept = 0; kept <= 12; kept += 1) {
        const office = await openOffice();
        const { host } = office;
        const node = await office.node("east");
        const nodes: NodeSelection = { kind: "ids", ids: [node.id] };
        const set = (hint: string): readonly NewEntry[] => [
          ...many(60, { hint }),
          { ...newEntry("/own", nodes), name: "own", hint },
        ];
        await apply(office, set("old"));
        host.journal.crashAt({ append, kept }, () => host.kill());
        apply(office, set("new")).catch(() => undefined);
        await quiet();
        await quiet();
        await host.restart();
        const hints = hintsOf(host.issuer.entries.list());
        expect(hints.size, `append ${append}, ${kept} kept`).toBe(1);
        expect(host.issuer.entries.list().length).toBe(61);
        expect(hintsOf(await published(office))).toEqual(hints);
        const store = await host.bus.issuer("eyes").loadAll();
        expect(hintsOf(manifestIn(store, node).entries)).toEqual(hints);
        for (const hint of hints) seen.add(hint);
        await apply(office, set("last"));
        await host.restart();
        expect(hintsOf(host.issuer.entries.list())).toEqual(new Set(["last"]));
      }
    }
    // Both ends were seen: the crashes met the write.
    expect(seen).toEqual(new Set(["old", "new"]));
  }, 60_000);

  test("ENT-SWITCH: manifests wait for the group index they go with, which is stored after them", async () => {
    const office = await openOffice();
    const { host } = office;
    const node = await office.node("east");
    const nodes: NodeSelection = { kind: "ids", ids: [node.id] };
    const set = (hint: string): readonly NewEntry[] => [
      { ...newEntry("/own", nodes), name: "own", hint },
      { ...newEntry("/all"), name: "all", hint },
    ];
    await apply(office, set("old"));
    const stored: string[] = [];
    host.onStored = (key) => stored.push(key);
    await apply(office, set("new"));
    expect(stored.indexOf(groupIndexKey)).toBeGreaterThan(stored.indexOf(manifestKey(node.id)));
    const store = await host.bus.issuer("eyes").loadAll();
    const manifest = manifestIn(store, node);
    expect([hintsOf(manifest.before), hintsOf(manifest.entries)]).toEqual([
      new Set(["old"]),
      new Set(["new"]),
    ]);
    expect(manifest.goesWith).toEqual(
      payloadOf<GroupIndexState>(store.get(groupIndexKey) ?? new Uint8Array()).version,
    );
  });

  test("a change of one entry writes one page of the set and one of the index, and pages of two changes ago are blanked", async () => {
    const office = await openOffice();
    const { host } = office;
    await apply(office, many(300));
    const stored: string[] = [];
    host.onStored = (key, bytes) =>
      void (bytes.byteLength > 2 && stored.push(key.split(".")[0] ?? ""));
    const one = many(300).map((entry, at) => (at === 7 ? { ...entry, hint: "x" } : entry));
    await apply(office, one);
    expect(stored.toSorted()).toEqual(["group", "group", "page", "set"]);
    host.onStored = () => undefined;
    for (const hint of ["a", "b", "c"]) await apply(office, many(300, { hint }));
    await quiet();
    const store = await host.bus.issuer("eyes").loadAll();
    const blank = [...store].filter(
      ([key, bytes]) => key.startsWith("group.") && bytes.byteLength === 2,
    );
    expect(blank.length).toBeGreaterThan(5);
    expect((await published(office)).length).toBe(300);
  });

  test("STATE_CORRUPT: an issuer that lacks a page of a set does not start on the rest of it", async () => {
    const office = await openOffice();
    const { host } = office;
    await apply(office, many(60));
    const key = entryPageKey("shop", 0);
    host.kill();
    host.bus.faults.destroy();
    const disk = host.journal.disk.filter((record) => record.key !== key);
    host.journal = new (
      host.journal.constructor as new (
        disk: typeof host.journal.disk,
      ) => typeof host.journal
    )(disk);
    await expect(host.start()).rejects.toMatchObject({
      code: "STATE_CORRUPT",
      message: expect.stringContaining(entrySetKey("shop")) as string,
    });
  });
});

test("pages are cut where entries say so: one entry more changes one page, or cuts one in two", () => {
  const entry = (id: string): Entry => ({ id }) as Entry;
  const ids = Array.from({ length: 2000 }, (_, at) => `e${(at * 2_654_435_761) % 4_294_967_296}`);
  const cut = (some: readonly string[]): readonly string[] =>
    cutPages(some.map(entry), () => 100).map((page) => page.map(({ id }) => id).join());
  const before = new Set(cut(ids));
  expect(before.size).toBeGreaterThan(2000 / 64);
  expect(before.size).toBeLessThan(2000 / 16);
  for (const extra of ["e5", "e4000000000", "zzz", "a"]) {
    const news = cut([...ids, extra]).filter((page) => !before.has(page));
    expect(news.length).toBeLessThanOrEqual(3);
  }
});
