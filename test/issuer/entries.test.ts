import { describe, expect, test } from "vitest";
import { parseCompactJson } from "../../src/core/envelope/compact-json.ts";
import {
  entryPageKey,
  entrySetKey,
  groupIndexKey,
  manifestKey,
} from "../../src/core/envelope/object-keys.ts";
import type { GroupIndexState, ManifestState } from "../../src/core/envelope/payloads.ts";
import { groupPage } from "../../src/core/envelope/state-shapes.ts";
import type { Entry, NewEntry, NodeSelection } from "../../src/core/policy/entry.ts";
import { parseSelector } from "../../src/core/spiffe/selector.ts";
import { parseTrustDomain, trustDomainId } from "../../src/core/spiffe/spiffe-id.ts";
import { parseCertificate } from "../../src/core/x509/certificate.ts";
import type { Declaration } from "../../src/issuer/declaration.ts";
import { listEntries } from "../../src/issuer/entry-list.ts";
import { cutPages } from "../../src/issuer/entry-sets.ts";
import { type Asker, signItem } from "../support/simulation-asker.ts";
import { payloadOf } from "../support/simulation-audit.ts";
import { quiet } from "../support/simulation-quiet.ts";
import { newEntry, type Office, openOffice, operator } from "./support/office.ts";

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

/** What nodes read: the hints of the group index's entries, pages resolved. */
async function published({ host }: Office): Promise<readonly Entry[]> {
  const store = await host.bus.issuer("eyes").loadAll();
  const index = payloadOf<GroupIndexState>(store.get(groupIndexKey) ?? new Uint8Array());
  const pages = index.pages.flatMap(({ key }) =>
    groupPage.parse(parseCompactJson(store.get(key) ?? new Uint8Array())),
  );
  return [...index.entries, ...pages];
}

const hintsOf = (entries: readonly Entry[]): ReadonlySet<string> =>
  new Set(entries.map(({ hint }) => hint));

async function signed(node: Asker, entry: Entry, ...selectors: readonly string[]): Promise<string> {
  const item = await signItem(entry);
  const purpose = { kind: "caller", selectors: selectors.map(parseSelector), pid: 7 } as const;
  const asked = selectors.length === 0 ? item : { ...item, purpose };
  const answer = await node.send("sign-request", await node.signRequest([asked]));
  const [result] = answer.kind === "sign-reply" ? answer.payload.results : [];
  if (result?.ok !== true) return `${result?.code}: ${result?.reason}`;
  const leaf = parseCertificate(Buffer.from(result.chain[0] ?? "", "base64"));
  return `${leaf.uris.join()} until ${leaf.notAfter}`;
}

describe("update by compare-and-set", () => {
  test("what was made of an older revision is refused, and told the newer one", async () => {
    const office = await openOffice();
    const { entryOrders } = office.host.issuer;
    const entry = await office.entry("/web");
    const change = { wanted: { ...newEntry("/web"), hint: "a" }, allowed: new Set<string>() };
    const updated = await entryOrders.update(entry, change, operator);
    expect(updated).toMatchObject({ id: entry.id, hint: "a", createdAt: entry.createdAt });
    expect(updated.revision).toBeGreaterThan(entry.revision);
    await expect(entryOrders.update(entry, change, operator)).rejects.toMatchObject({
      code: "ENTRY_CONFLICT",
      message: expect.stringContaining(
        `at revision ${updated.revision}, not ${entry.revision}`,
      ) as string,
    });
    await expect(
      entryOrders.delete({ id: entry.id, revision: entry.revision }, operator),
    ).rejects.toMatchObject({ code: "ENTRY_CONFLICT" });
    expect(await published(office)).toMatchObject([
      { hint: "a", revision: String(updated.revision) },
    ]);
  });

  test("nothing changed is no new revision: no SVID is signed for it", async () => {
    const office = await openOffice();
    const entry = await office.entry("/web");
    const change = { wanted: newEntry("/web"), allowed: new Set<string>() };
    const again = await office.host.issuer.entryOrders.update(entry, change, operator);
    expect(again.revision).toBe(entry.revision);
  });

  test("an entry that moves between a node and all leaves one view for the other", async () => {
    const office = await openOffice();
    const node = await office.node("east");
    const entry = await office.entry("/web", { kind: "ids", ids: [node.id] });
    const change = { wanted: newEntry("/web"), allowed: new Set<string>() };
    await office.host.issuer.entryOrders.update(entry, change, operator);
    expect((await published(office)).length).toBe(1);
    const store = await office.host.bus.issuer("eyes").loadAll();
    expect(manifestIn(store, node).entries).toEqual([]);
  });

  test("TM-W-03: what the linter refuses is not written; what the operator allows is audited", async () => {
    const office = await openOffice();
    const { issuer, audit } = office.host;
    const risky = {
      ...newEntry("/web"),
      selectors: ["unix:uid:7", "unix:path:/x"].map(parseSelector),
    };
    await expect(issuer.createEntry(risky, operator)).rejects.toMatchObject({
      code: "ENTRY_INVALID",
      message: expect.stringContaining("(TM-W-03)") as string,
    });
    expect(issuer.entries.list()).toEqual([]);
    await issuer.createEntry(risky, operator, new Set(["TM-W-03"]));
    expect(audit.records.at(-1)?.payload.action).toMatchObject({
      verb: "entry create --allow TM-W-03",
    });
  });
});

describe("MEC-14 templates are expanded by the issuer", () => {
  const template = "spiffe://example.org/{node.label.zone}/{unix.user}";
  const domain = trustDomainId(parseTrustDomain("example.org"));
  const open = async () => {
    const office = await openOffice();
    const node = await office.node("east", { zone: "a" });
    const wanted = { ...newEntry("/x"), spiffeId: domain, template };
    return { node, entry: await office.host.issuer.createEntry(wanted, operator) };
  };

  test("from its own record of the node's labels and the caller's selectors", async () => {
    const { node, entry } = await open();
    expect(await signed(node, entry, "unix:uid:1000", "unix:user:ann")).toMatch(
      /^spiffe:\/\/example.org\/a\/ann /,
    );
  });

  test.for([
    ["kept warm", []],
    ["for a caller without the entry's selectors", ["unix:user:ann"]],
    ["for a caller whose name climbs", ["unix:uid:1000", "unix:user:.."]],
    ["for a caller whose name has a path", ["unix:uid:1000", "unix:user:a/../../herald/node/x"]],
    ["for a caller with two names", ["unix:uid:1000", "unix:user:ann", "unix:user:bob"]],
  ] as const)("TM-N-05: %s it gives nothing", async ([, selectors]) => {
    const { node, entry } = await open();
    expect(await signed(node, entry, ...selectors)).toMatch(/^LINT: /);
  });
});

describe("an entry's end", () => {
  test("no certificate lives beyond it, and none is signed after it", async () => {
    const office = await openOffice();
    const node = await office.node("east");
    const expiresAt = office.clock.now() + 60_500;
    const entry = await office.host.issuer.createEntry(
      { ...newEntry("/web"), expiresAt },
      operator,
    );
    const [, until] = (await signed(node, entry)).split(" until ");
    expect(Number(until)).toBeLessThanOrEqual(expiresAt);
    expect(Number(until)).toBeGreaterThan(expiresAt - 2000);
    await office.clock.advance(60_500);
    expect(await signed(node, entry)).toMatch(/^LINT: the entry ended/);
  });
});

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

describe("listing", () => {
  const all = {
    spiffeId: "",
    selector: "",
    node: "" as const,
    nodeLabels: {},
    labels: {},
    hint: "",
    admin: false,
    federatesWith: "",
    set: "",
  };

  test("pages follow each other whatever comes and goes", async () => {
    const office = await openOffice();
    for (let at = 0; at < 7; at += 1) {
      await office.clock.advance(1);
      await office.host.issuer.createEntry({ ...newEntry(`/w${at}`), priority: at % 2 }, operator);
    }
    const { entries } = office.host.issuer;
    const order = entries.list().map(({ id }) => id);
    const first = listEntries(entries.list(), all, { limit: 3, token: "" });
    await entries.delete(order[2] ?? "");
    await office.host.issuer.createEntry({ ...newEntry("/early"), priority: 9 }, operator);
    const second = listEntries(entries.list(), all, { limit: 3, token: first.next });
    const third = listEntries(entries.list(), all, { limit: 3, token: second.next });
    expect([...first.entries, ...second.entries, ...third.entries].map(({ id }) => id)).toEqual(
      order,
    );
    expect(third.next).toBe("");
    expect(() => listEntries(entries.list(), all, { limit: 1, token: "x" })).toThrow("page-token");
  });

  test.for([
    ["selector", { selector: "unix:uid:7" }, ["b"]],
    ["node, by label or by name", { node: "n", nodeLabels: { role: "db" } }, ["b", "c", "d"]],
    ["labels", { labels: { role: "db" } }, ["b"]],
    ["hint", { hint: "h" }, ["c"]],
    ["admin", { admin: true }, ["d"]],
    ["federation", { federatesWith: "p.example" }, ["a"]],
    ["two at once", { admin: true, hint: "h" }, []],
  ] as const)("by %s", async ([, bend, expected]) => {
    const office = await openOffice();
    const node = await office.node("east", { role: "db" });
    const make = async (path: string, more: Partial<NewEntry>) =>
      await office.host.issuer.createEntry({ ...newEntry(`/${path}`), ...more }, operator);
    await make("a", {
      federatesWith: [parseTrustDomain("p.example")],
      nodes: { kind: "labels", labels: { role: "web" } },
    });
    await make("b", {
      selectors: [parseSelector("unix:uid:7")],
      nodes: { kind: "labels", labels: { role: "db" } },
    });
    await make("c", { hint: "h" });
    await make("d", { admin: true, nodes: { kind: "ids", ids: [node.id] } });
    const filter = { ...all, ...bend, node: "node" in bend ? node.id : ("" as const) };
    const found = listEntries(office.host.issuer.entries.list(), filter, { limit: 0, token: "" });
    expect(found.entries.map(({ spiffeId }) => spiffeId.at(-1)).toSorted()).toEqual(expected);
  });
});

function manifestIn(store: ReadonlyMap<string, Uint8Array>, node: Asker): ManifestState {
  const manifest = payloadOf<ManifestState>(store.get(manifestKey(node.id)) ?? new Uint8Array());
  return manifest;
}
