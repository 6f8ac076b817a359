import { type Metadata, status } from "@grpc/grpc-js";
import { describe, expect, test } from "vitest";
import type {
  SpiffeWorkloadAPIClient,
  X509SVIDResponse,
} from "../../src/wire/spiffe/workload/workloadapi.ts";
import { header, type Rig, reader, rig } from "./support/server.ts";
import { bundle, fed, own, svid, view } from "./support/views.ts";

const first = view([svid("web", "a1")]);
const renewed = view([svid("web", "a2")]);
const ok = header("true");

type Call = (client: SpiffeWorkloadAPIClient, metadata: Metadata) => Promise<number>;

const unary = (run: (answer: (error: { readonly code: number } | null) => void) => unknown) =>
  new Promise<number>((resolve) => run((error) => resolve(error?.code ?? status.OK)));

const methods: readonly (readonly [string, Call])[] = [
  [
    "FetchX509SVID",
    async (client, metadata) => await reader(client.fetchX509Svid({}, metadata)).ended,
  ],
  [
    "FetchX509Bundles",
    async (client, metadata) => await reader(client.fetchX509Bundles({}, metadata)).ended,
  ],
  [
    "FetchJWTSVID",
    async (client, metadata) =>
      await unary((answer) =>
        client.fetchJwtsvid({ audience: ["x"], spiffeId: "" }, metadata, answer),
      ),
  ],
  [
    "FetchJWTBundles",
    async (client, metadata) => await reader(client.fetchJwtBundles({}, metadata)).ended,
  ],
  [
    "ValidateJWTSVID",
    async (client, metadata) =>
      await unary((answer) =>
        client.validateJwtsvid({ audience: "x", svid: "y" }, metadata, answer),
      ),
  ],
  [
    "FetchWITSVID",
    async (client, metadata) => await reader(client.fetchWitsvid({ spiffeId: "" }, metadata)).ended,
  ],
  [
    "FetchWITBundles",
    async (client, metadata) => await reader(client.fetchWitBundles({}, metadata)).ended,
  ],
];

describe("WEP-05 the header", () => {
  test.for(methods)(
    "%s refuses a missing, wrong or doubled one, before attestation",
    async ([, call]) => {
      await using it = await rig(first);
      it.views.refusal = new TypeError("attested too early");
      for (const wrong of [
        header(),
        header(""),
        header("True"),
        header("TRUE"),
        header("1"),
        header("true", "true"),
      ]) {
        expect(await call(it.client, wrong)).toBe(status.INVALID_ARGUMENT);
      }
      expect(it.views.watchers).toBe(0);
    },
  );
});

test.for(methods.slice(2))("WAPI-02 WEP-15 %s is Unimplemented for now", async ([, call]) => {
  await using it = await rig(first);
  expect(await call(it.client, ok)).toBe(status.UNIMPLEMENTED);
});

const fetchSvids = (it: Rig) => reader<X509SVIDResponse>(it.client.fetchX509Svid({}, ok));

describe("X.509 streams", () => {
  test("WAPI-05 WAPI-04 a whole message at once and after each change, told as flushed", async () => {
    await using it = await rig(first);
    const read = fetchSvids(it);
    expect((await read.next()).svids.map((one) => one.spiffeId)).toEqual([`spiffe://${own}/web`]);
    await it.clients.heard("flushed a1 1");
    it.views.set(renewed);
    expect((await read.next()).svids[0]?.x509SvidKey.toString()).toContain("key web a2");
    await it.clients.heard("flushed a2 1");
  });

  test("WAPI-06 WAPI-19 identical bundle messages are not sent again", async () => {
    await using it = await rig(first);
    const read = reader(it.client.fetchX509Bundles({}, ok));
    await read.next();
    it.views.set(renewed);
    it.views.set(view([svid("web", "a2")], [bundle(own, 1), bundle(fed, 1)]));
    expect([...(await read.next()).bundles.keys()]).toEqual([`spiffe://${own}`, `spiffe://${fed}`]);
    expect(read.received.length).toBe(2);
  });

  test("WEP-14 a caller without an identity is PermissionDenied", async () => {
    await using it = await rig(view([]));
    expect(await fetchSvids(it).ended).toBe(status.PERMISSION_DENIED);
    expect(await reader(it.client.fetchX509Bundles({}, ok)).ended).toBe(status.PERMISSION_DENIED);
    expect(it.views.watchers).toBe(0);
  });

  test("WEP-13 a node that knows nothing yet, or cannot attest, is Unavailable", async () => {
    await using it = await rig(view([], [], false));
    expect(await fetchSvids(it).ended).toBe(status.UNAVAILABLE);
    it.views.refusal = new TypeError("no such process");
    expect(await fetchSvids(it).ended).toBe(status.UNAVAILABLE);
  });

  test("WAPI-17 a lost identity ends the stream with PermissionDenied", async () => {
    await using it = await rig(first);
    const read = fetchSvids(it);
    await read.next();
    it.views.set(view([]));
    expect(await read.ended).toBe(status.PERMISSION_DENIED);
    await it.clients.heard("closed FetchX509SVID");
    expect(it.views.watchers).toBe(0);
  });

  test("WAPI-25 a caller that has ended gets nothing more", async () => {
    await using it = await rig(first);
    const read = fetchSvids(it);
    await read.next();
    it.caller.alive = false;
    it.views.set(renewed);
    expect(await read.ended).toBe(status.PERMISSION_DENIED);
    expect(read.received.length).toBe(1);
  });

  test("WAPI-26 a caller holds so many streams and no more, and gets its places back", async () => {
    await using it = await rig(first, { maxStreamsPerCaller: 2 });
    const stream = it.client.fetchX509Svid({}, ok);
    const one = reader<X509SVIDResponse>(stream);
    const two = fetchSvids(it);
    await Promise.all([one.next(), two.next()]);
    expect(await fetchSvids(it).ended).toBe(status.RESOURCE_EXHAUSTED);
    stream.cancel();
    await it.clients.heard("closed FetchX509SVID");
    await fetchSvids(it).next();
    expect(it.views.watchers).toBe(2);
  });

  test("at shutdown streams end with Unavailable", async () => {
    const stop = new AbortController();
    await using it = await rig(first, { signal: stop.signal });
    const read = fetchSvids(it);
    await read.next();
    stop.abort();
    expect(await read.ended).toBe(status.UNAVAILABLE);
    expect(it.views.watchers).toBe(0);
  });
});
