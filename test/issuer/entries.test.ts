import { describe, expect, test } from "vitest";
import type { Entry, NewEntry } from "../../src/core/policy/entry.ts";
import { parseSelector } from "../../src/core/spiffe/selector.ts";
import { parseTrustDomain, trustDomainId } from "../../src/core/spiffe/spiffe-id.ts";
import { parseCertificate } from "../../src/core/x509/certificate.ts";
import { listEntries } from "../../src/issuer/entries/entry-list.ts";
import { type Asker, signItem } from "../support/simulation-asker.ts";
import { newEntry, openOffice, operator } from "./support/office.ts";
import { manifestIn, published } from "./support/published.ts";

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
    expect(found.entries.map(({ spiffeId }) => spiffeId.slice(-1)).toSorted()).toEqual(expected);
  });
});
