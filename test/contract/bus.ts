import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { token26, trustDomainToken } from "../../src/core/envelope/object-keys.ts";
import type { BusRequest, IssuerBus, NodeBus } from "../../src/events/bus.ts";
import { families, maxObjectBytes, requestKinds } from "../../src/events/subjects.ts";
import { auditReading } from "./bus-audit.ts";
import { BusRecorder, bytes, collect, never, text } from "./bus-recorder.ts";

/** A bus to try: each call opens a new process' face of the same broker. */
export interface BusRig {
  readonly trustDomain: string;
  issuer(): Promise<IssuerBus>;
  node(node: string): Promise<NodeBus>;
  close(): Promise<void>;
}

const node = token26("spiffe://example.org/herald/node/join-token/a");
const otherNode = token26("spiffe://example.org/herald/node/join-token/b");
const soon = { timeoutMs: 10_000 };

/** What every bus must do, whatever it is made of. */
export function busContract(title: string, open: () => Promise<BusRig>): void {
  describe(`the bus: ${title}`, () => {
    let rig: BusRig;
    let issuer: IssuerBus;
    beforeAll(async () => {
      rig = await open();
      issuer = await rig.issuer();
      await issuer.ensure();
    });
    afterAll(() => rig.close());
    const world: World = {
      get rig() {
        return rig;
      },
      get issuer() {
        return issuer;
      },
    };
    describe("objects", () => objects(world));
    describe("what nodes hear", () => hearing(world));
    describe("requests", () => requests(world));
    describe("audit and events", () => logs(world));
    describe("reading the audit", () => auditReading(() => issuer));
  });
}

interface World {
  readonly rig: BusRig;
  readonly issuer: IssuerBus;
}

function objects(world: World): void {
  const forNodes = families.filter((family) => family.forNodes).map((family) => family.name);
  const forIssuers = families.filter((family) => !family.forNodes).map((family) => family.name);

  test.for(forNodes)("a node reads a %s by direct get (NATS-09)", async (family) => {
    const reader = await world.rig.node(node);
    expect(text(await reader.read(`${family}.read`))).toBe("nothing");
    await world.issuer.put(`${family}.read`, bytes("one"));
    expect(text(await reader.read(`${family}.read`))).toBe("one");
    await world.issuer.put(`${family}.read`, bytes("two"));
    expect(text(await reader.read(`${family}.read`))).toBe("two");
  });

  test.for(forIssuers)("a node does not read a %s (ND-16)", async (family) => {
    const reader = await world.rig.node(node);
    await world.issuer.put(`${family}.secret`, bytes("mine"));
    await expect(reader.read(`${family}.secret`)).rejects.toMatchObject({ code: "BUS_BAD_KEY" });
  });

  test("of two issuers that write one key, the second conflicts and writes after loading", async () => {
    const rival = await world.rig.issuer();
    await world.issuer.put("entry.race", bytes("first"));
    await expect(rival.put("entry.race", bytes("second"))).rejects.toMatchObject({
      code: "BUS_CONFLICT",
    });
    expect(text((await rival.loadAll()).get("entry.race"))).toBe("first");
    await rival.put("entry.race", bytes("second"));
    await expect(world.issuer.put("entry.race", bytes("third"))).rejects.toMatchObject({
      code: "BUS_CONFLICT",
    });
    expect(text((await world.issuer.loadAll()).get("entry.race"))).toBe("second");
  });

  test("writes of one key by one process happen in the order of the calls", async () => {
    const words = Array.from({ length: 20 }, (_, at) => `value ${at}`);
    await Promise.all(words.map((word) => world.issuer.put("record.order", bytes(word))));
    expect(text((await world.issuer.loadAll()).get("record.order"))).toBe("value 19");
  });

  test("loading is complete beyond 1,024 objects and over old values (ND-22)", async () => {
    const writer = await world.rig.issuer();
    await writer.loadAll();
    const keys = Array.from({ length: 1_500 }, (_, at) => `entry.many-${at}`);
    await Promise.all(keys.map((key) => writer.put(key, bytes("old"))));
    await Promise.all(keys.map((key) => writer.put(key, bytes(`new ${key}`))));
    await writer.put("authority.one.two", bytes("nested"));
    const loaded = await (await world.rig.issuer()).loadAll();
    for (const key of keys) expect(text(loaded.get(key))).toBe(`new ${key}`);
    expect(text(loaded.get("authority.one.two"))).toBe("nested");
  });

  test.for([
    ["bundle", "BUS_BAD_KEY"],
    ["bundle.", "BUS_BAD_KEY"],
    [".x", "BUS_BAD_KEY"],
    ["nothing.x", "BUS_BAD_KEY"],
    ["bundle.*", "BUS_BAD_KEY"],
    ["bundle.>", "BUS_BAD_KEY"],
    ["bundle.A", "BUS_BAD_KEY"],
    ["bundle.a..b", "BUS_BAD_KEY"],
    ["bundle.a b", "BUS_BAD_KEY"],
    [`bundle.${"a".repeat(600)}`, "BUS_BAD_KEY"],
  ] as const)("refuses the key %j with %s (ND-06)", async ([key, code]) => {
    await expect(world.issuer.put(key, bytes("x"))).rejects.toMatchObject({ code });
  });

  test("refuses an object above 900 KiB and takes one of 900 KiB (ND-11)", async () => {
    const most = new Uint8Array(maxObjectBytes);
    await world.issuer.put("group.big", most);
    await expect(
      world.issuer.put("group.big", new Uint8Array(maxObjectBytes + 1)),
    ).rejects.toMatchObject({ code: "BUS_TOO_LARGE" });
    expect((await (await world.rig.node(node)).read("group.big"))?.length).toBe(maxObjectBytes);
  });

  test("a closed bus says so", async () => {
    const closed = await world.rig.issuer();
    await closed.close();
    await expect(closed.put("bundle.closed", bytes("x"))).rejects.toMatchObject({
      code: "BUS_CLOSED",
    });
    expect(closed.connected()).toBe(false);
  });
}

function hearing(world: World): void {
  test("a node hears heads, everybody's objects and its own manifest, not its neighbour's (ND-14)", async () => {
    const recorder = new BusRecorder();
    const listener = await world.rig.node(node);
    await listener.subscribe(recorder);
    await recorder.until("connected");
    await world.issuer.put(`node.${otherNode}`, bytes("not for me"));
    await world.issuer.put(`node.${node}`, bytes("manifest"));
    await world.issuer.put(`node.${node}.page-2`, bytes("page"));
    await world.issuer.put("control.heard", bytes("c"));
    await world.issuer.put("bundle.heard", bytes("b"));
    await world.issuer.put("rev.heard", bytes("r"));
    await world.issuer.put("group.heard", bytes("g"));
    await world.issuer.put("entry.heard", bytes("not for nodes"));
    await world.issuer.broadcastHead("elsewhere.org", bytes("not mine"));
    await world.issuer.broadcastHead(world.rig.trustDomain, bytes("last"));
    await recorder.until("head last");
    // A bus may reorder messages of different subjects.
    expect(recorder.heard.toSorted()).toEqual(
      [
        "connected",
        `node.${node} manifest`,
        `node.${node}.page-2 page`,
        "control.heard c",
        "bundle.heard b",
        "rev.heard r",
        "group.heard g",
        "head last",
      ].toSorted(),
    );
  });

  test("what is written after onConnected is heard, so a read begun then misses nothing (ND-20)", async () => {
    const recorder = new BusRecorder();
    const listener = await world.rig.node(node);
    const before = world.issuer.put("rev.gapless", bytes("before"));
    await listener.subscribe(recorder);
    await recorder.until("connected");
    await before;
    await world.issuer.put("rev.gapless", bytes("after"));
    await recorder.until("rev.gapless after");
    expect(text(await listener.read("rev.gapless"))).toBe("after");
  });

  test("a closed subscription hears nothing more", async () => {
    const closed = new BusRecorder();
    const open = new BusRecorder();
    const listener = await world.rig.node(node);
    const service = await listener.subscribe(closed);
    await listener.subscribe(open);
    await service.close();
    await service.close();
    await world.issuer.broadcastHead(world.rig.trustDomain, bytes("unheard"));
    await open.until("head unheard");
    expect(closed.heard).not.toContain("head unheard");
  });
}

function requests(world: World): void {
  const echo = async (request: BusRequest): Promise<Uint8Array> =>
    bytes(`${request.kind} ${request.node} ${text(request.bytes)}`);

  test("without an issuer a request fails at once (ND-34)", async () => {
    const asker = await world.rig.node(node);
    await expect(asker.request("sign", bytes("?"), soon)).rejects.toMatchObject({
      code: "BUS_NO_ISSUER",
    });
  });

  test.for(requestKinds)("an issuer answers %s and knows the node by its subject", async (kind) => {
    const service = await world.issuer.serve(echo);
    const asker = await world.rig.node(node);
    expect(text(await asker.request(kind, bytes("?"), soon))).toBe(`${kind} ${node} ?`);
    await service.close();
    await expect(asker.request(kind, bytes("?"), soon)).rejects.toMatchObject({
      code: "BUS_NO_ISSUER",
    });
  });

  test("each request goes to one issuer of the group (ND-33)", async () => {
    let answers = 0;
    const count = async (): Promise<Uint8Array> => bytes(`${(answers += 1)}`);
    const rival = await world.rig.issuer();
    const services = [await world.issuer.serve(count), await rival.serve(count)];
    const asker = await world.rig.node(node);
    const asked = Array.from({ length: 50 }, () => asker.request("state", bytes("?"), soon));
    expect(new Set((await Promise.all(asked)).map(text)).size).toBe(50);
    expect(answers).toBe(50);
    for (const service of services) await service.close();
  });

  test("a handler that fails leaves its caller without an answer and the service alive", async () => {
    const service = await world.issuer.serve(async (request) => {
      if (text(request.bytes) === "bad") throw new Error("on purpose");
      return bytes("fine");
    });
    const asker = await world.rig.node(node);
    const bad = asker.request("ack", bytes("bad"), { timeoutMs: 200 });
    await expect(bad).rejects.toMatchObject({ code: "BUS_TIMEOUT" });
    expect(text(await asker.request("ack", bytes("good"), soon))).toBe("fine");
    await service.close();
  });

  test("closing a service lets its running handlers answer", async () => {
    const { promise: goOn, resolve: release } = Promise.withResolvers<void>();
    const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
    const service = await world.issuer.serve(async () => {
      begin();
      await goOn;
      return bytes("late");
    });
    const asker = await world.rig.node(node);
    const answer = asker.request("renew", bytes("?"), soon);
    await begun;
    const closed = service.close();
    release();
    await closed;
    expect(text(await answer)).toBe("late");
  });
}

function logs(world: World): void {
  test("audit appends are kept in the order of the calls", async () => {
    const words = Array.from({ length: 40 }, (_, at) => `record ${at}`);
    await Promise.all(words.map((word) => world.issuer.appendAudit("order", bytes(word))));
    const found: string[] = [];
    for await (const record of world.issuer.tailAudit({ since: 1, signal: never() })) {
      if (record.subject.endsWith(".order")) found.push(text(record.bytes));
      if (found.length === words.length) break;
    }
    expect(found).toEqual(words);
  });

  test("an audit chain has no fork: the second process of a name is refused", async () => {
    const twin = await world.rig.issuer();
    expect(await world.issuer.lastAudit("fork")).toBeUndefined();
    expect(await twin.lastAudit("fork")).toBeUndefined();
    await world.issuer.appendAudit("fork", bytes("first"));
    await expect(twin.appendAudit("fork", bytes("fork"))).rejects.toMatchObject({
      code: "BUS_CONFLICT",
    });
    expect(text((await twin.lastAudit("fork"))?.bytes)).toBe("first");
    await twin.appendAudit("fork", bytes("second"));
    await expect(world.issuer.appendAudit("fork", bytes("third"))).rejects.toMatchObject({
      code: "BUS_CONFLICT",
    });
  });

  test("an event of one id is stored once, and tailed from the start or from now (ND-13)", async () => {
    const abort = new AbortController();
    const fresh = collect(world.issuer.tailEvents({ signal: abort.signal }), "new");
    await world.issuer.publishEvent({ id: "e1", type: "svid.rotated", bytes: bytes("one") });
    await world.issuer.publishEvent({ id: "e1", type: "svid.rotated", bytes: bytes("one") });
    await world.issuer.publishEvent({ id: "e2", type: "bundle.updated", bytes: bytes("two") });
    const all = world.issuer.tailEvents({ since: 1, signal: abort.signal });
    const found = await collect(all, "two");
    expect(found.map((event) => [event.sequence, text(event.bytes)])).toEqual([
      [1, "one"],
      [2, "two"],
    ]);
    const domain = trustDomainToken(world.rig.trustDomain);
    expect(found[0]?.subject).toBe(`herald.v1.evt.svid.rotated.${domain}`);
    await world.issuer.publishEvent({ id: "e3", type: "bundle.updated", bytes: bytes("new") });
    expect((await fresh).at(-1)?.sequence).toBe(3);
  });

  test("aborting ends a tail", async () => {
    const abort = new AbortController();
    const ended = collect(world.issuer.tailEvents({ signal: abort.signal }), "never comes");
    abort.abort();
    expect((await ended).map((event) => text(event.bytes))).toEqual([]);
  });

  test("a tail from beyond the end is a gap, as after a destroyed store (ND-27)", async () => {
    const beyond = world.issuer.tailEvents({ since: 1_000_000, signal: never() });
    await expect(collect(beyond, "")).rejects.toMatchObject({ code: "BUS_GAP" });
  });

  test.for(["", "A", "a.*", "a..b", "a.b.c.d.e"])("refuses the event type %j", async (type) => {
    const event = { id: "x", type, bytes: bytes("") };
    await expect(world.issuer.publishEvent(event)).rejects.toMatchObject({ code: "BUS_BAD_KEY" });
  });

  test("making the streams again changes nothing", async () => {
    expect(await world.issuer.ensure()).toEqual([]);
  });
}
