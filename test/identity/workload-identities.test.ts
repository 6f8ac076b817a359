import { describe, expect, test } from "vitest";
import { createCsr } from "../../src/core/x509/csr.ts";
import { nodeKeyMaker } from "../../src/core/x509/key-pair.ts";
import { makeAuthority, makeBundle, noon } from "../support/ca-world.ts";
import { entryOf, hour, idsOf, Workloads } from "./support/workloads.ts";

/** A PKCS#10 request for a stranger's key. */
const strangersCsr = Buffer.from(await createCsr(await nodeKeyMaker.p256())).toString("base64");

describe("issuing", () => {
  test("each entry gets an SVID, kept before it is told", async () => {
    const world = new Workloads();
    const watch = world.watch("web", "db");
    await world.update([entryOf("web"), entryOf("db"), entryOf("other")]);
    expect(idsOf(watch.current())).toEqual(["db", "web"]);
    expect(watch.current()).toMatchObject({ trustDomain: "example.org", synced: true });
    // First the bundle came, then the SVIDs: on disk, to the watcher, to the acknowledgement.
    expect(world.trace).toEqual(["told", "saved db,other,web", "told db web", "changed"]);
  });

  test("fifty in one request", async () => {
    const world = new Workloads();
    await world.update(Array.from({ length: 120 }, (_, i) => entryOf(`e${i}`)));
    expect(world.requests.map(({ entries }) => entries.length)).toEqual([50, 50, 20]);
    expect(world.identities.status()).toEqual({
      entries: 120,
      svids: 120,
      nextExpiry: noon + hour,
    });
  });

  test("nothing to do is nothing done", async () => {
    const world = new Workloads();
    await world.update([]);
    await world.clock.advance(10 * hour);
    expect([world.requests, world.trace]).toEqual([[], []]);
  });

  test("a disk that fails keeps the SVID from being told; it is asked for again", async () => {
    const world = new Workloads();
    const watch = world.watch("web");
    world.cache.fails = true;
    await world.update([entryOf("web")]);
    expect(watch.current().svids).toEqual([]);
    world.cache.fails = false;
    await world.clock.advance(1_000);
    expect(idsOf(watch.current())).toEqual(["web"]);
    expect(world.requests).toHaveLength(2);
  });
});

describe("SDS-05 an SVID that does not hold is never served", () => {
  const stranger = makeAuthority();
  const bends = [
    ["signed by nobody in the bundle", (world, item) => world.issued(item, { by: stranger })],
    ["for another key", (world, item) => world.issued({ ...item, csr: strangersCsr })],
    ["with another ID", (world, item) => world.issued(item, { id: "spiffe://example.org/admin" })],
    [
      "of another trust domain",
      (world, item) => world.issued(item, { id: "spiffe://other.example/web" }),
    ],
    [
      "that has expired",
      (world, item) => world.issued(item, { notBefore: noon - hour, notAfter: noon - 1000 }),
    ],
    [
      "that is not valid yet",
      (world, item) => world.issued(item, { notBefore: noon + hour, notAfter: noon + 2 * hour }),
    ],
    [
      "with two names",
      (world, item) =>
        world.issued(item, { uris: ["spiffe://example.org/web", "spiffe://example.org/b"] }),
    ],
    [
      "with the root in its chain",
      (world, item) =>
        withChain(world.issued(item), Buffer.from(world.authority.der).toString("base64")),
    ],
    ["that is no certificate", (_, item) => ({ ok: true, entry: item.entry, chain: ["anVuaw=="] })],
    ["without any certificate", (_, item) => ({ ok: true, entry: item.entry, chain: [] })],
  ] as const satisfies readonly (readonly [string, (world: Workloads, item: Item) => Result])[];

  test.for(bends)("one %s", async ([, bend]) => {
    const world = new Workloads();
    const watch = world.watch("web", "db");
    world.answer = (item) => (item.entry === "web" ? bend(world, item) : world.issued(item));
    await world.update([entryOf("web"), entryOf("db")]);
    // The other one in the same reply is served.
    expect(idsOf(watch.current())).toEqual(["db"]);
    expect(watch.current().synced).toBe(false);
    expect(world.log.alarms).toEqual(["bad-svid"]);
    expect(world.trace).toContain("saved db");
    world.answer = (item) => world.issued(item);
    await world.clock.advance(1_000);
    expect(idsOf(watch.current())).toEqual(["db", "web"]);
  });

  test("and none is before there is a bundle to hold it against", async () => {
    const world = new Workloads();
    const watch = world.watch("web");
    await world.update([entryOf("web")], { bundle: undefined });
    expect(watch.current().svids).toEqual([]);
    await world.update([entryOf("web")]);
    expect(idsOf(watch.current())).toEqual(["web"]);
  });

  test("a reply with too few results leaves the rest for later", async () => {
    const world = new Workloads();
    const watch = world.watch("web", "db");
    const results = { left: 1 };
    world.answer = (item) => (results.left-- > 0 ? world.issued(item) : world.refused(item));
    await world.update([entryOf("web"), entryOf("db")]);
    expect(idsOf(watch.current())).toEqual(["db"]);
  });
});

type Item = Parameters<Workloads["issued"]>[0];
type Result = ReturnType<Workloads["issued"]>;

function withChain(result: Result, ...more: readonly string[]): Result {
  return result.ok ? { ...result, chain: [...result.chain, ...more] } : result;
}

describe("renewal", () => {
  test("ahead of time, with a new key, and told once", async () => {
    const world = new Workloads();
    const watch = world.watch("web");
    await world.update([entryOf("web")]);
    const first = watch.current().svids[0];
    await world.clock.advance(0.39 * hour);
    expect(world.requests).toHaveLength(1);
    await world.clock.advance(0.22 * hour);
    expect(world.requests).toHaveLength(2);
    const second = watch.current().svids[0];
    expect(second?.serial).not.toBe(first?.serial);
    expect(second?.privateKey).not.toEqual(first?.privateKey);
    expect(world.trace.filter((one) => one.startsWith("told web"))).toHaveLength(2);
  });

  test("an entry that changed gets a new one at once, and keeps the old one meanwhile", async () => {
    const world = new Workloads();
    const watch = world.watch("web");
    await world.update([entryOf("web")]);
    const before = watch.current().svids[0]?.serial;
    const gate = Promise.withResolvers<void>();
    world.beforeAnswer = () => gate.promise;
    await world.update([entryOf("web", { revision: 2n })]);
    expect(watch.current().svids[0]?.serial).toBe(before);
    gate.resolve();
    await world.clock.advance(0);
    expect(watch.current().svids[0]?.serial).not.toBe(before);
  });

  test("after a change of authority all are asked for anew within two seconds, not all at once", async () => {
    const world = new Workloads();
    const entries = Array.from({ length: 40 }, (_, i) => entryOf(`e${i}`));
    await world.update(entries);
    world.requests.length = 0;
    const next = makeAuthority({ notAfter: noon + 100 * hour });
    const activeAuthority = next.certificate.subjectKeyId ?? "";
    world.answer = (item) => world.issued(item, { by: next });
    const bundle = makeBundle("example.org", [world.authority, next], 2n);
    await world.update(entries, { bundle, activeAuthority });
    await world.clock.advance(2_000);
    const asked = world.requests.flatMap((request) => request.entries);
    expect(asked.toSorted()).toEqual(entries.map(({ id }) => id).toSorted());
    expect(world.requests.length).toBeGreaterThan(5);
    expect(world.uses()).toEqual([
      { authority: activeAuthority, svids: 40, until: expect.any(Number) as number },
    ]);
  });

  test("after its authority is tainted, all are asked for at this very moment, in full batches", async () => {
    const world = new Workloads();
    const entries = Array.from({ length: 120 }, (_, i) => entryOf(`e${i}`));
    await world.update(entries);
    world.requests.length = 0;
    const next = makeAuthority({ notAfter: noon + 100 * hour });
    const activeAuthority = next.certificate.subjectKeyId ?? "";
    world.answer = (item) => world.issued(item, { by: next });
    const bundle = makeBundle("example.org", [world.authority, next], 2n);
    const taintedAuthorities = [world.authority.certificate.subjectKeyId ?? ""];
    await world.update(entries, { bundle, activeAuthority, taintedAuthorities });
    await world.clock.advance(0);
    expect(world.requests.map((request) => request.entries.length)).toEqual([50, 50, 20]);
    expect(new Set(world.requests.map(({ at }) => at))).toEqual(new Set([world.clock.now()]));
    expect(world.uses()).toMatchObject([{ authority: activeAuthority, svids: 120 }]);
  });

  test("INV-6: what is asked for counts as what may come, by the authority that was known to sign", async () => {
    const world = new Workloads();
    const gate = Promise.withResolvers<undefined>();
    world.beforeAnswer = () => gate.promise;
    await world.update([entryOf("web")]);
    const authority = world.authority.certificate.subjectKeyId ?? "";
    expect(world.uses()).toMatchObject([{ authority, svids: 1 }]);
    world.answer = (item) => world.refused(item);
    gate.resolve(undefined);
    await world.clock.advance(0);
    expect(world.uses()).toEqual([]);
  });
});

describe("expiry", () => {
  test("an SVID that is not renewed is taken away at its time, and what ends is told", async () => {
    const world = new Workloads();
    const watch = world.watch("web");
    await world.update([entryOf("web")]);
    world.answer = (item) => world.refused(item);
    await world.clock.advance(hour - 1);
    expect(idsOf(watch.current())).toEqual(["web"]);
    await world.clock.advance(1);
    expect(watch.current()).toMatchObject({ svids: [], synced: false });
    expect(world.trace.at(-1)).toBe("told");
    expect(world.identities.status()).toEqual({ entries: 1, svids: 0, nextExpiry: noon + hour });
    expect(world.uses()).toEqual([]);
  });

  test("also while an issuer takes its time", async () => {
    const world = new Workloads();
    const watch = world.watch("web");
    await world.update([entryOf("web")]);
    world.beforeAnswer = () => new Promise(() => {});
    await world.clock.advance(hour - 1);
    expect(idsOf(watch.current())).toEqual(["web"]);
    await world.clock.advance(1);
    expect(watch.current().svids).toEqual([]);
  });
});
