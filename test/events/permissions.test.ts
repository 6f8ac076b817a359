import { headers, type NatsConnection } from "@nats-io/transport-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { token26, trustDomainToken } from "../../src/core/envelope/object-keys.ts";
import type { BusConnection } from "../../src/events/adapters/connection.ts";
import { managerOf } from "../../src/events/adapters/streams.ts";
import type { IssuerBus } from "../../src/events/bus.ts";
import { buckets, families, headSubject } from "../../src/events/subjects.ts";
import { BusRecorder, bytes, text } from "../contract/bus-recorder.ts";
import { TestNatsServer, testTrustDomain } from "../support/nats-server.ts";

const node = token26("spiffe://example.org/herald/node/join-token/a");
const td = trustDomainToken(testTrustDomain);

let server: TestNatsServer;
let issuer: IssuerBus;
type Role = "issuer" | "node";
const links: Record<Role, BusConnection | undefined> = { issuer: undefined, node: undefined };
const denied: Record<Role, string[]> = { issuer: [], node: [] };

beforeAll(async () => {
  server = await TestNatsServer.start();
  issuer = await server.issuer();
  await issuer.ensure();
  links.issuer = await server.connectIssuer();
  links.node = await server.connectNode(node);
  void watch("issuer");
  void watch("node");
});
afterAll(() => server.close());

const nodeBuckets = families.filter((family) => family.forNodes).map((family) => family.bucket);
const secretBuckets = buckets
  .map((each) => each.name)
  .filter((each) => !nodeBuckets.includes(each));
const api = "$JS.API";

type Cell = readonly [subject: string, issuer: "yes" | "no", node: "yes" | "no"];

const publishing: readonly Cell[] = [
  ...["sign", "renew", "state", "ack"].map(
    (kind): Cell => [`herald.v1.req.${kind}.main.${node}`, "no", "yes"],
  ),
  [`herald.v1.req.enroll.main.${node}`, "no", "no"],
  [`herald.v1.req.sign.main.${node}.more`, "no", "no"],
  [`herald.v1.head.${td}`, "yes", "no"],
  ["herald.v1.kv.bundle.x", "no", "no"],
  ["herald.v1.kv.node.x", "no", "no"],
  ["herald.v1.evt.svid.rotated.x", "yes", "no"],
  ["herald.v1.audit.one", "yes", "no"],
  ["herald.v1.tel.x", "no", "no"],
  ...buckets.map((bucket): Cell => [`$KV.${bucket.name}.x`, "yes", "no"]),
  ["$KV.OTHER.x", "no", "no"],
  ...nodeBuckets.map(
    (bucket): Cell => [`${api}.DIRECT.GET.KV_${bucket}.$KV.${bucket}.x`, "yes", "yes"],
  ),
  ...secretBuckets.map(
    (bucket): Cell => [`${api}.DIRECT.GET.KV_${bucket}.$KV.${bucket}.x`, "yes", "no"],
  ),
  // The body form names its keys where no permission looks (NATS-09).
  ...buckets.map((bucket): Cell => [`${api}.DIRECT.GET.KV_${bucket.name}`, "yes", "no"]),
  [`${api}.DIRECT.GET.KV_HB_BUNDLE.$KV.HB_ENTRY.x`, "yes", "no"],
  [`${api}.DIRECT.GET.HB_AUDIT`, "yes", "no"],
  [`${api}.INFO`, "yes", "no"],
  [`${api}.STREAM.NAMES`, "no", "no"],
  [`${api}.STREAM.INFO.KV_HB_BUNDLE`, "yes", "no"],
  [`${api}.STREAM.MSG.GET.KV_HB_BUNDLE`, "yes", "no"],
  [`${api}.STREAM.CREATE.KV_HB_BUNDLE`, "yes", "no"],
  [`${api}.STREAM.CREATE.OTHER`, "no", "no"],
  [`${api}.STREAM.UPDATE.KV_HB_BUNDLE`, "no", "no"],
  [`${api}.STREAM.DELETE.KV_HB_BUNDLE`, "no", "no"],
  [`${api}.STREAM.PURGE.KV_HB_BUNDLE`, "no", "no"],
  [`${api}.STREAM.MSG.DELETE.HB_AUDIT`, "no", "no"],
  // Consumers of state would be the way out of every other rule (NATS-08).
  [`${api}.CONSUMER.CREATE.KV_HB_BUNDLE`, "no", "no"],
  [`${api}.CONSUMER.CREATE.KV_HB_BUNDLE.c`, "no", "no"],
  [`${api}.CONSUMER.CREATE.KV_HB_BUNDLE.c.$KV.HB_BUNDLE.x`, "no", "no"],
  [`${api}.CONSUMER.DURABLE.CREATE.KV_HB_BUNDLE.c`, "no", "no"],
  [`${api}.CONSUMER.MSG.NEXT.KV_HB_BUNDLE.c`, "no", "no"],
  [`${api}.CONSUMER.CREATE.HB_EVENTS.c`, "yes", "no"],
  [`${api}.CONSUMER.MSG.NEXT.HB_EVENTS.c`, "yes", "no"],
  [`${api}.CONSUMER.CREATE.HB_AUDIT.c`, "yes", "no"],
  ["$JS.ACK.x", "no", "no"],
  ["$SYS.REQ.SERVER.PING", "no", "no"],
  [`_INBOX.${node}.x`, "no", "no"],
  ["_INBOX_ISSUER.x", "no", "no"],
  ["anything", "no", "no"],
];

const subscribing: readonly Cell[] = [
  [`herald.v1.head.${td}`, "no", "yes"],
  ["herald.v1.head.*", "no", "yes"],
  ...["control", "bundle", "rev", "group", "node"].map(
    (family): Cell => [`herald.v1.kv.${family}.>`, "no", "yes"],
  ),
  [`herald.v1.kv.node.${node}`, "no", "yes"],
  ["herald.v1.kv.>", "no", "no"],
  ["herald.v1.kv.entry.>", "no", "no"],
  ["herald.v1.>", "no", "no"],
  ["herald.v1.req.>", "yes", "no"],
  [`herald.v1.req.sign.main.${node}`, "yes", "no"],
  ["herald.v1.evt.>", "no", "no"],
  ["herald.v1.audit.>", "no", "no"],
  ["$KV.HB_BUNDLE.>", "no", "no"],
  ["$KV.>", "no", "no"],
  ["$JS.API.>", "no", "no"],
  ["$JS.EVENT.>", "no", "no"],
  ["$SYS.>", "no", "no"],
  ["_INBOX.>", "no", "no"],
  [`_INBOX.${node}.>`, "no", "yes"],
  ["_INBOX_ISSUER.>", "yes", "no"],
  [">", "no", "no"],
  ["*", "no", "no"],
];

describe("the permission matrix (ND-19)", () => {
  test.for(publishing)("publish %s: issuer %s, node %s", async ([subject, byIssuer, byNode]) => {
    expect(await mayPublish("issuer", subject)).toBe(byIssuer);
    expect(await mayPublish("node", subject)).toBe(byNode);
  });

  test.for(subscribing)("subscribe %s: issuer %s, node %s", async ([subject, byIssuer, byNode]) => {
    expect(await maySubscribe("issuer", subject)).toBe(byIssuer);
    expect(await maySubscribe("node", subject)).toBe(byNode);
  });
});

describe("ways out", () => {
  test("a node makes no push consumer that delivers to its inbox or for it (NATS-08)", async () => {
    const config = {
      deliver_subject: `herald.v1.head.${td}`,
      ack_policy: "none",
      deliver_policy: "all",
    };
    const body = JSON.stringify({ stream_name: "KV_HB_ENTRY", config: { ...config, name: "c" } });
    const forms = ["CREATE.KV_HB_ENTRY", "CREATE.KV_HB_ENTRY.c", "DURABLE.CREATE.KV_HB_ENTRY.c"];
    for (const form of forms) {
      const asked = nats("node").request(`${api}.CONSUMER.${form}`, body, { timeout: 5_000 });
      await expect(asked).rejects.toThrow(/Permissions Violation/);
    }
    const manager = await managerOf(nats("issuer"));
    expect((await manager.streams.info("KV_HB_ENTRY")).state.consumer_count).toBe(0);
  });

  test("an issuer does not answer where a node may not publish (NATS-11): the object stays", async () => {
    const victim = `$KV.HB_BUNDLE.${td}`;
    await issuer.put(`bundle.${td}`, bytes("true"));
    const { promise: asked, resolve } = Promise.withResolvers<void>();
    const service = await issuer.serve(async (request) => {
      if (text(request.bytes) === "fine") resolve();
      return bytes("overwritten");
    });
    const request = `herald.v1.req.sign.main.${node}`;
    for (const reply of [
      victim,
      headSubject(testTrustDomain),
      "_INBOX.other.x",
      `_INBOX.${node}`,
    ]) {
      nats("node").publish(request, "bad", { reply });
    }
    nats("node").publish(request, "fine", { reply: `_INBOX.${node}.x` });
    await asked;
    await service.close();
    const reader = await server.node(node);
    expect(text(await reader.read(`bundle.${td}`))).toBe("true");
  });

  test("a node that has stored messages answered to everybody is not heard (NATS-09)", async () => {
    await issuer.put("rev.noise", bytes("noise"));
    const recorder = new BusRecorder();
    await (await server.node(node)).subscribe(recorder);
    await recorder.until("connected");
    const get = `${api}.DIRECT.GET.KV_HB_REV.$KV.HB_REV.noise`;
    for (const reply of [`herald.v1.head.${td}`, "herald.v1.kv.bundle.noise"]) {
      nats("node").publish(get, "", { reply });
    }
    // An answer behind the two noises says that they were delivered.
    await (await server.node(node)).read("rev.noise");
    await issuer.broadcastHead(testTrustDomain, bytes("true"));
    await recorder.until("head true");
    expect(recorder.heard).toEqual(["connected", "head true"]);
  });

  test("an issuer's user cannot bring headers that roll an audit up (deny_purge)", async () => {
    await issuer.appendAudit("roll", bytes("one"));
    const rollup = headers();
    rollup.set("Nats-Rollup", "all");
    const asked = nats("issuer").request("herald.v1.audit.roll", "gone", {
      headers: rollup,
      timeout: 5_000,
    });
    expect(text((await asked).data)).toContain("rollup not permitted");
    expect(text((await issuer.lastAudit("roll"))?.bytes)).toBe("one");
  });
});

function nats(role: Role): NatsConnection {
  const link = links[role];
  if (link === undefined) throw new Error("not connected");
  return link.nats();
}

async function mayPublish(role: Role, subject: string): Promise<"yes" | "no"> {
  // A JetStream API call without a body and a reply subject does nothing.
  return await allowed(role, subject, () => nats(role).publish(subject));
}

async function maySubscribe(role: Role, subject: string): Promise<"yes" | "no"> {
  const drop = { callback: () => undefined };
  const subscribe = (): (() => void) => {
    const subscription = nats(role).subscribe(subject, drop);
    return () => subscription.unsubscribe();
  };
  let undo = (): void => undefined;
  const answer = await allowed(role, subject, () => {
    undo = subscribe();
  });
  undo();
  return answer;
}

/** A denial is sent before the answer to the flush that follows. */
async function allowed(role: Role, subject: string, act: () => void): Promise<"yes" | "no"> {
  denied[role].length = 0;
  act();
  await nats(role).flush();
  await new Promise((resolve) => setImmediate(resolve));
  return denied[role].includes(subject) ? "no" : "yes";
}

async function watch(role: Role): Promise<void> {
  for await (const status of nats(role).status()) {
    if (status.type !== "error") continue;
    const violation = /^Permissions Violation for \w+ to "(.+)"/.exec(status.error.message);
    if (violation?.[1] !== undefined) denied[role].push(violation[1]);
  }
}
