import { describe, expect, test } from "vitest";
import type { Purpose, SignItem } from "../../src/core/envelope/payloads.ts";
import { expandTemplate } from "../../src/core/policy/template.ts";
import { parseSelector } from "../../src/core/spiffe/selector.ts";
import { parseTrustDomain, trustDomainId } from "../../src/core/spiffe/spiffe-id.ts";
import { noon } from "../support/ca-world.ts";
import { entryOf, hour, idsOf, Workloads } from "./support/workloads.ts";

const domain = parseTrustDomain("example.org");

/** A world that remembers for whom each SVID was asked. */
function asked(world: Workloads): readonly Purpose[] {
  const purposes: Purpose[] = [];
  const { answer } = world;
  world.answer = (item) => {
    purposes.push(item.purpose);
    return answer(item);
  };
  return purposes;
}

describe("an entry on demand", () => {
  test("is signed when the first caller comes, for that caller, and renewed while it stays", async () => {
    const world = new Workloads();
    const purposes = asked(world);
    await world.update([entryOf("web", { keepWarm: false }), entryOf("warm")]);
    expect(world.requests.map(({ entries }) => entries)).toEqual([["warm"]]);
    const watch = world.watch("web");
    await world.clock.advance(0);
    expect(idsOf(watch.current())).toEqual(["web"]);
    expect(purposes.at(-1)).toEqual({ kind: "caller", selectors: ["unix:user:web"], pid: 0 });
    await world.clock.advance(hour);
    expect(world.requests.filter(({ entries }) => entries.includes("web")).length).toBe(2);
  });

  test("keeps what it had for a caller that comes back, and renews nothing for nobody", async () => {
    const world = new Workloads();
    await world.update([entryOf("web", { keepWarm: false })]);
    const first = world.watch("web");
    await world.clock.advance(0);
    first.close();
    await world.update([entryOf("web", { keepWarm: false })]);
    expect(idsOf(world.watch("web").current())).toEqual(["web"]);
    const left = new Workloads({ clock: world.clock });
    await left.update([entryOf("web", { keepWarm: false })]);
    const gone = left.watch("web");
    await left.clock.advance(0);
    gone.close();
    await left.clock.advance(3 * hour);
    expect(left.requests.length).toBe(1);
    expect(left.identities.status().svids).toBe(0);
  });
});

describe("templates on a node", () => {
  const entry = entryOf("t", {
    spiffeId: trustDomainId(domain),
    template: "spiffe://example.org/{unix.user}",
    selectors: [parseSelector("unix:group:staff")],
    keepWarm: false,
  });
  const issue = (world: Workloads): void => {
    world.answer = (item: SignItem) => {
      const selectors = item.purpose.kind === "caller" ? item.purpose.selectors : [];
      const id = expandTemplate(entry.template, domain, { selectors, labels: {} });
      return world.issued(item, { id });
    };
  };
  const watchAs = (world: Workloads, ...facts: readonly string[]) =>
    world.identities.watch(["unix:group:staff", ...facts].map(parseSelector), () => undefined);

  test("each caller has its own SVID, asked for once for both of its streams", async () => {
    const world = new Workloads();
    issue(world);
    await world.update([entry]);
    const [ann, again, bob] = [
      watchAs(world, "unix:user:ann"),
      watchAs(world, "unix:user:ann"),
      watchAs(world, "unix:user:bob"),
    ];
    await world.clock.advance(0);
    expect([ann, again, bob].map((one) => idsOf(one.current()))).toEqual([
      ["ann"],
      ["ann"],
      ["bob"],
    ]);
    expect(world.requests.flatMap(({ entries }) => entries)).toEqual(["t", "t"]);
    expect(world.cache.kept.size).toBe(2);
  });

  test("a caller that it cannot be expanded for gets nothing, and the others are not kept waiting", async () => {
    const world = new Workloads();
    issue(world);
    await world.update([entry]);
    const [none, bad, bob] = [
      watchAs(world),
      watchAs(world, "unix:user:.."),
      watchAs(world, "unix:user:bob"),
    ];
    await world.clock.advance(0);
    expect([none, bad, bob].map((one) => idsOf(one.current()))).toEqual([[], [], ["bob"]]);
    expect(none.current().synced).toBe(true);
  });

  test("a restarted daemon serves each caller out of the cache", async () => {
    const world = new Workloads();
    issue(world);
    await world.update([entry]);
    watchAs(world, "unix:user:ann");
    await world.clock.advance(0);
    const kept = [...world.cache.kept.values()];
    const next = new Workloads({ clock: world.clock, authority: world.authority, kept });
    await next.identities.resume();
    await next.update([entry]);
    expect(idsOf(watchAs(next, "unix:user:ann").current())).toEqual(["ann"]);
    expect(idsOf(watchAs(next, "unix:user:bob").current())).toEqual([]);
  });

  test("when the entry is gone its SVIDs are", async () => {
    const world = new Workloads();
    issue(world);
    await world.update([entry]);
    const ann = watchAs(world, "unix:user:ann");
    await world.clock.advance(0);
    await world.update([]);
    expect(idsOf(ann.current())).toEqual([]);
    expect(world.cache.kept.size).toBe(0);
  });
});

test("an entry that ends is taken away at its time by the node's clock, whatever the certificate says", async () => {
  const world = new Workloads();
  const watch = world.watch("web");
  await world.update([entryOf("web", { expiresAt: noon + 60_000 })]);
  expect(idsOf(watch.current())).toEqual(["web"]);
  await world.clock.advance(59_999);
  expect(idsOf(watch.current())).toEqual(["web"]);
  await world.clock.advance(2);
  expect(idsOf(watch.current())).toEqual([]);
  const { length } = world.requests;
  await world.clock.advance(10 * hour);
  expect(world.requests.length).toBe(length);
});
