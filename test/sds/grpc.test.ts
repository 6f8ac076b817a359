import { Client, credentials, status } from "@grpc/grpc-js";
import { describe, expect, test } from "vitest";
import { secretTypeUrl } from "../../src/sds/encode.ts";
import { Secret } from "../../src/wire/envoy/extensions/transport_sockets/tls/v3/secret.ts";
import {
  DeltaDiscoveryRequest,
  DiscoveryRequest,
  type DiscoveryResponse,
} from "../../src/wire/envoy/service/discovery/v3/discovery.ts";
import { reader, rig } from "./support/server.ts";
import { bundle, own, svid, view } from "./support/views.ts";

const first = view({ svids: [svid("web", "a1")] });
const bundles = [...first.bundles.values()];
const renewed = view({ svids: [svid("web", "a2")], bundles });

const ask = (names: readonly string[], more: object = {}): DiscoveryRequest =>
  DiscoveryRequest.fromPartial({ resourceNames: [...names], node: { id: "envoy-1" }, ...more });

const namesOf = (response: DiscoveryResponse): readonly string[] =>
  response.resources.map((one) => Secret.decode(one.value).name);

describe("StreamSecrets over a socket", () => {
  test("SOTW-01 XDS-04 SDS-01 a secret comes, is acknowledged, and its successor is pushed", async () => {
    await using it = await rig(first);
    const stream = it.client.streamSecrets();
    const read = reader<DiscoveryResponse>(stream);
    stream.write(ask(["default"]));
    const one = await read.next();
    expect([one.typeUrl, namesOf(one), one.resources[0]?.typeUrl]).toEqual([
      secretTypeUrl,
      ["default"],
      secretTypeUrl,
    ]);
    expect(one.versionInfo).not.toBe("");
    stream.write(ask(["default"], { responseNonce: one.nonce, versionInfo: one.versionInfo }));
    await it.consumers.heard("acknowledged default");
    it.views.set(renewed);
    const two = await read.next();
    expect(two.versionInfo).not.toBe(one.versionInfo);
    expect(two.nonce).not.toBe(one.nonce);
    stream.write(
      ask(["default"], {
        responseNonce: two.nonce,
        errorDetail: { code: 13, message: "KEY_VALUES_MISMATCH", details: [] },
      }),
    );
    await it.consumers.heard("refused default: KEY_VALUES_MISMATCH");
    expect(it.consumers.lines).toEqual([
      "opened envoy-1",
      "sent default",
      "acknowledged default",
      "sent default",
      "refused default: KEY_VALUES_MISMATCH",
    ]);
    stream.end();
    await it.consumers.heard("closed envoy-1");
    expect((await read.ended).code).toBe(status.OK);
    expect(it.views.watchers).toBe(0);
  });

  test("SDS-07 over the streams of one connection new trust is written before the SVIDs", async () => {
    await using it = await rig(first);
    const order: string[] = [];
    const open = async (name: string) => {
      const stream = it.client.streamSecrets();
      const read = reader<DiscoveryResponse>(stream);
      stream.write(ask([name]));
      await read.next();
      stream.on("data", () => order.push(name));
      return read;
    };
    // The SVID's stream is the first to hear of the new view.
    const leaf = await open("default");
    const trust = await open("ROOTCA");
    it.views.set(view({ svids: [svid("web", "a2")], bundles: [bundle(own, 2)] }));
    await Promise.all([leaf.next(), trust.next()]);
    expect(order).toEqual(["ROOTCA", "default"]);
  });

  test("XDS-04 a foreign type URL is InvalidArgument", async () => {
    await using it = await rig(first);
    const stream = it.client.streamSecrets();
    const read = reader<DiscoveryResponse>(stream);
    stream.write(ask([], { typeUrl: "type.googleapis.com/envoy.config.cluster.v3.Cluster" }));
    expect((await read.ended).code).toBe(status.INVALID_ARGUMENT);
    expect(it.views.watchers).toBe(0);
  });

  test("XDS-11 an undecodable request is InvalidArgument", async () => {
    await using it = await rig(first);
    const client = new Client(it.address, credentials.createInsecure());
    const path = "/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets";
    const stream = client.makeBidiStreamRequest(
      path,
      (bytes: Buffer) => bytes,
      (bytes) => bytes,
    );
    const read = reader<DiscoveryResponse>(stream);
    stream.write(Buffer.from([0x0a, 0xff]));
    expect((await read.ended).code).toBe(status.INVALID_ARGUMENT);
    client.close();
  });

  test("SPIRE-09 a caller that cannot be attested is Unavailable", async () => {
    await using it = await rig(first);
    it.views.refusal = new TypeError("no such process");
    const stream = it.client.streamSecrets();
    const read = reader<DiscoveryResponse>(stream);
    stream.write(ask(["default"]));
    expect((await read.ended).code).toBe(status.UNAVAILABLE);
  });

  test("SPIRE-10 a caller that has ended gets nothing more", async () => {
    await using it = await rig(first);
    const stream = it.client.streamSecrets();
    const read = reader<DiscoveryResponse>(stream);
    stream.write(ask(["default"]));
    await read.next();
    it.caller.alive = false;
    it.views.set(renewed);
    expect((await read.ended).code).toBe(status.PERMISSION_DENIED);
    expect(read.received.length).toBe(1);
    expect(it.views.watchers).toBe(0);
  });

  test("XDS-14 at shutdown streams end with Unavailable", async () => {
    const stop = new AbortController();
    await using it = await rig(first, { signal: stop.signal });
    const stream = it.client.streamSecrets();
    const read = reader<DiscoveryResponse>(stream);
    stream.write(ask(["default"]));
    await read.next();
    stop.abort();
    expect((await read.ended).code).toBe(status.UNAVAILABLE);
    expect(it.views.watchers).toBe(0);
  });

  test("EDGE-08 a client that leaves while it is being attested leaves no watch", async () => {
    await using it = await rig(first);
    const gate = Promise.withResolvers<void>();
    it.views.gate = gate.promise;
    const open = async (count: number) => {
      const stream = it.client.streamSecrets();
      const read = reader<DiscoveryResponse>(stream);
      stream.write(ask(["default"]));
      while (it.views.attested < count) await new Promise((resolve) => setImmediate(resolve));
      return { stream, read };
    };
    const gone = await open(1);
    gone.stream.cancel();
    expect((await gone.read.ended).code).toBe(status.CANCELLED);
    // One connection keeps its order: who hears of this stream has heard of the cancellation.
    const stays = await open(2);
    gate.resolve();
    await stays.read.next();
    expect(it.views.watchers).toBe(1);
    expect(it.consumers.lines.filter((line) => line.startsWith("opened"))).toEqual([
      "opened envoy-1",
    ]);
  });

  // Node's http2 ends a connection that resets more than 1,000 streams at once (CVE-2023-44487), so most end in order.
  test("XDS-13 10,000 streams opened and ended, some of them by reset, leave no watcher", async () => {
    await using it = await rig(first);
    const visit = async (index: number) => {
      const stream = it.client.streamSecrets();
      const read = reader<DiscoveryResponse>(stream);
      stream.write(ask(["default"]));
      await read.next();
      if (index % 20 === 0) stream.cancel();
      else stream.end();
      await read.ended;
    };
    for (let round = 0; round < 100; round += 1) {
      await Promise.all(Array.from({ length: 100 }, (_, index) => index).map(visit));
    }
    const count = (prefix: string) =>
      it.consumers.lines.filter((line) => line.startsWith(prefix)).length;
    while (it.views.watchers > 0) await new Promise((resolve) => setImmediate(resolve));
    expect(count("opened")).toBe(10_000);
    expect(count("closed")).toBe(10_000);
  });

  test("XDS-09 EDGE-09 a thousand streams of one connection each get a rotation once", async () => {
    await using it = await rig(first);
    const streams = await Promise.all(
      Array.from({ length: 1_000 }, async () => {
        const stream = it.client.streamSecrets();
        const read = reader<DiscoveryResponse>(stream);
        stream.write(ask(["default"]));
        await read.next();
        return read;
      }),
    );
    it.views.set(renewed);
    const versions = await Promise.all(
      streams.map(async (read) => (await read.next()).versionInfo),
    );
    expect(new Set(versions).size).toBe(1);
    expect(streams.every((read) => read.received.length === 2)).toBe(true);
  });

  test("EDGE-16 XDS-12 a client that does not read is sent little, and the newest once it reads again", async () => {
    await using it = await rig(first);
    const stream = it.client.streamSecrets();
    const read = reader<DiscoveryResponse>(stream);
    stream.write(ask(["ROOTCA"]));
    await read.next();
    stream.pause();
    // Each is bigger than HTTP/2's window of 64 KiB.
    const big = (sequence: number) =>
      bundle(
        own,
        sequence,
        Array.from({ length: 2_000 }, (_, index) => `${sequence} ${index} ${"x".repeat(64)}`),
      );
    let newest = first;
    for (let sequence = 2; sequence < 1_002; sequence += 1) {
      newest = view({ svids: [svid("web", "a1")], bundles: [big(sequence)] });
      it.views.set(newest);
      if (sequence % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    const sent = () => it.consumers.lines.filter((line) => line.startsWith("sent")).length;
    expect(sent()).toBeLessThan(30);
    stream.resume();
    const last = Buffer.from("1001 1999");
    for (;;) {
      const message = await read.next();
      const pem = Secret.decode(message.resources[0]?.value ?? Buffer.alloc(0));
      if (textOf(pem).includes(last.toString())) break;
    }
    expect(sent()).toBeLessThan(30);
  });
});

/** All base64 of a context, decoded, whichever way it is nested. */
function textOf(secret: Secret): string {
  const value =
    secret.type?.$case === "validationContext"
      ? secret.type.value.customValidatorConfig?.typedConfig?.value
      : undefined;
  const blocks = value?.toString("latin1").matchAll(/-----\n([A-Za-z0-9+/=\n]+)\n-----END/g) ?? [];
  return [...blocks].map(([, base64 = ""]) => Buffer.from(base64, "base64").toString()).join("\n");
}

describe("the other methods", () => {
  const fetchFrom = (it: Awaited<ReturnType<typeof rig>>, request: DiscoveryRequest) =>
    new Promise<DiscoveryResponse | number>((resolve) => {
      it.client.fetchSecrets(request, (error, response) =>
        resolve(error === null ? response : error.code),
      );
    });

  test("FETCH-01 FETCH-02 FetchSecrets answers in full, without a nonce, every time", async () => {
    await using it = await rig(first);
    const one = await fetchFrom(it, ask(["default", "ROOTCA"]));
    if (typeof one === "number") throw new TypeError(`status ${one}`);
    expect([namesOf(one), one.nonce, one.typeUrl]).toEqual([
      ["ROOTCA", "default"],
      "",
      secretTypeUrl,
    ]);
    expect(
      await fetchFrom(it, ask(["default", "ROOTCA"], { versionInfo: one.versionInfo })),
    ).toEqual(one);
    expect(it.views.watchers).toBe(0);
  });

  test.for([
    ["an unknown name", ask(["default", "nobody"]), status.INVALID_ARGUMENT],
    ["another type", ask([], { typeUrl: "x" }), status.INVALID_ARGUMENT],
    [
      "ALL for an old Envoy",
      ask(["ALL"], { node: { metadata: { disable_spiffe_cert_validation: true } } }),
      status.FAILED_PRECONDITION,
    ],
  ] as const)("FETCH-01 SPIRE-05 %s is refused", async ([, request, code]) => {
    await using it = await rig(first);
    expect(await fetchFrom(it, request)).toBe(code);
    expect(it.views.watchers).toBe(0);
  });

  test("FETCH-01 a node that has not read its state is Unavailable", async () => {
    await using it = await rig(view({ synced: false, bundles: [] }));
    expect(await fetchFrom(it, ask(["default"]))).toBe(status.UNAVAILABLE);
    expect(await fetchFrom(it, ask([]))).toBe(status.UNAVAILABLE);
  });

  test("DeltaSecrets is Unimplemented for now", async () => {
    await using it = await rig(first);
    const stream = it.client.deltaSecrets();
    const read = reader<DiscoveryResponse>(stream);
    stream.write(DeltaDiscoveryRequest.fromPartial({}));
    expect((await read.ended).code).toBe(status.UNIMPLEMENTED);
  });
});
