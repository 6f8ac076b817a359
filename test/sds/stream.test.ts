import { describe, expect, test } from "vitest";
import { secretTypeUrl } from "../../src/sds/encode.ts";
import { Trace } from "./support/trace.ts";
import { bundle, own, svid, view } from "./support/views.ts";

const web = `spiffe://${own}/web`;
const first = view({ svids: [svid("web", "a1")] });
const renewed = view({ svids: [svid("web", "a2")], bundles: [...first.bundles.values()] });

/** Subscribed to `names`, answered and acknowledged. */
function settled(names: readonly string[], start = first): Trace {
  const trace = new Trace(start);
  trace.request({ resourceNames: [...names], node: { id: "envoy-1" } });
  trace.ack(names);
  return trace;
}

describe("a stream from its first request", () => {
  test("SOTW-01 the first request is answered at once, and an ACK is not answered (SOTW-02)", () => {
    const trace = new Trace(first);
    trace.request({ resourceNames: ["default"], node: { id: "envoy-1" }, versionInfo: "old" });
    trace.ack(["default"]);
    expect(trace.lines).toEqual(["open envoy-1", "send 1.1 default=a1", "acknowledged default=a1"]);
  });

  test("XDS-07 a rotation is pushed once, unasked", () => {
    const trace = settled(["default"]);
    expect(trace.view(renewed)).toEqual(["send 1.2 default=a2"]);
    expect(trace.ack(["default"])).toEqual(["acknowledged default=a2"]);
    expect(trace.view(renewed)).toEqual([]);
    expect(trace.view({ ...renewed })).toEqual([]);
  });

  test("XDS-03 an empty type URL means Secret; XDS-04 another one ends the stream", () => {
    expect(
      new Trace(first).request({ resourceNames: ["default"], typeUrl: secretTypeUrl }),
    ).toContain("send 1.1 default=a1");
    const v2 = "type.googleapis.com/envoy.api.v2.auth.Secret";
    expect(new Trace(first).request({ typeUrl: v2 })).toEqual(["end REQUEST_INVALID"]);
  });

  test("EDGE-02 a nonce of an earlier stream does not make the first request stale", () => {
    const trace = new Trace(first);
    const lines = trace.request({
      resourceNames: ["default"],
      responseNonce: "9.9",
      versionInfo: "v",
    });
    expect(lines).toEqual(["open -", "send 1.1 default=a1"]);
  });

  test("XDS-10 EDGE-13 a name without a secret stays subscribed and is sent when it comes", () => {
    const trace = new Trace(view({ svids: [svid("web", "a1")] }));
    const api = `spiffe://${own}/api`;
    expect(trace.request({ resourceNames: [api] })).toEqual(["open -", `waiting ${api} unknown`]);
    expect(trace.view(view({ svids: [svid("web", "a1")] }))).toEqual(["hold 1"]);
    const grown = view({ svids: [svid("web", "a1"), svid("api", "b1")] });
    expect(trace.view(grown)).toContain(`send 1.1 ${api}=b1`);
  });

  test("SPIRE-07 unknown_name: close ends the stream as SPIRE does, but not while syncing", () => {
    const rules = { unknownName: "close" } as const;
    expect(new Trace(first, { rules }).request({ resourceNames: ["spiffe://x.test/y"] })).toContain(
      "end NAME_UNKNOWN",
    );
    const syncing = new Trace(view({ synced: false, bundles: [] }), { rules });
    expect(syncing.request({ resourceNames: ["default"] })).toContain("waiting default unsynced");
  });

  test("XDS-01 XDS-02 EDGE-01 the first node counts, for answers that come much later too", () => {
    const trace = new Trace(view({ synced: false, bundles: [] }));
    const metadata = { disable_spiffe_cert_validation: true };
    trace.request({ resourceNames: ["ALL"], node: { id: "first", metadata } });
    trace.request({ resourceNames: ["ALL"], node: { id: "second" } });
    // ALL needs the SPIFFE validator, which the first node switched off.
    expect(trace.view(first)).toContain("end VALIDATOR_NEEDED");
  });
});

describe("changing the names", () => {
  const two = view({ svids: [svid("web", "a1"), svid("api", "b1")] });
  const api = `spiffe://${own}/api`;

  test("SOTW-08 EDGE-20 only what changed or is new is in a response", () => {
    const trace = settled([web, api], two);
    const after = view({
      svids: [svid("web", "a2"), svid("api", "b1")],
      bundles: [...two.bundles.values()],
    });
    expect(trace.view(after)).toEqual([`send 1.2 ${web}=a2`]);
    expect(trace.ack([web, api, "default"])).toContain("send 1.3 default=a2");
  });

  test("SOTW-06 EDGE-04 unsubscribed and asked for again, an unchanged secret is sent again", () => {
    const trace = settled([web, api], two);
    expect(trace.ack([api])).toEqual([]);
    expect(trace.ack([web, api])).toEqual([`send 1.2 ${web}=a1`]);
  });

  test("SOTW-07 EDGE-05 a name that the wildcard sent is sent again when named", () => {
    const trace = new Trace(two);
    expect(trace.request({})).toEqual(["open -", `send 1.1 spiffe://${own}=1 ${web}=a1 ${api}=b1`]);
    expect(trace.ack([web])).toContain(`send 1.2 ${web}=a1`);
    expect(trace.ack([web])).toEqual([`acknowledged ${web}=a1`]);
  });

  test("SOTW-10 [] is everything, [*,A], [A], and then [] is nothing", () => {
    const trace = new Trace(first);
    expect(trace.request({})).toEqual(["open -", `send 1.1 spiffe://${own}=1 ${web}=a1`]);
    expect(trace.ack(["*", "default"])).toContain("send 1.2 default=a1");
    expect(trace.ack(["default"])).toEqual(["acknowledged default=a1"]);
    expect(trace.ack([])).toEqual([]);
    expect(trace.view(renewed)).toEqual([]);
  });

  test("EDGE-06 an explicit * with an empty version is everything (SOTW-11)", () => {
    const lines = new Trace(two).request({ resourceNames: ["*"] });
    expect(lines).toContain(`send 1.1 spiffe://${own}=1 ${web}=a1 ${api}=b1`);
  });

  test("SOTW-04 a NACK's new names count", () => {
    const trace = new Trace(first);
    trace.request({ resourceNames: ["default"] });
    expect(trace.nack(["default", "ROOTCA"])).toEqual([
      "refused default=a1: bad",
      "send 1.2 ROOTCA=1",
    ]);
  });

  test("SOTW-05 a stale nonce acknowledges nothing, yet its names count, once", () => {
    const trace = settled(["default"]);
    trace.view(renewed);
    expect(trace.ack(["default", "ROOTCA"], "1.1")).toEqual(["send 1.3 ROOTCA=1"]);
    expect(trace.ack(["default", "ROOTCA"], "1.2")).toEqual(["acknowledged default=a2"]);
    expect(trace.ack(["default", "ROOTCA"], "1.3")).toEqual(["acknowledged ROOTCA=1"]);
  });

  test("EDGE-03 a stale nonce, then the right one: processed exactly once", () => {
    const trace = new Trace(first);
    trace.request({ resourceNames: ["default"] });
    expect(trace.ack(["default"], "xyz")).toEqual([]);
    expect(trace.ack(["default"])).toEqual(["acknowledged default=a1"]);
    expect(trace.ack(["default"])).toEqual([]);
  });

  test("SOTW-14 EDGE-18 empty names are ignored, too many or too long ones end the stream", () => {
    expect(new Trace(first).request({ resourceNames: ["", "default"] })).toContain(
      "send 1.1 default=a1",
    );
    const many = Array.from({ length: 10_000 }, (_, index) => `name-${index}`);
    expect(new Trace(first).request({ resourceNames: many })).toEqual(["end REQUEST_INVALID"]);
    const long = "é".repeat(1_025);
    expect(new Trace(first).request({ resourceNames: [long] })).toEqual(["end REQUEST_INVALID"]);
  });

  test("XDS-08 a name asked for twice is sent once", () => {
    const lines = new Trace(first).request({ resourceNames: ["default", "default"] });
    expect(lines).toContain("send 1.1 default=a1");
  });

  test("SPIRE-08 several names for one bundle, and for one SVID, are all answered", () => {
    const names = ["ALL", "ROOTCA", "default", web, `spiffe://${own}`];
    expect(new Trace(first).request({ resourceNames: names })).toContain(
      `send 1.1 ALL=1 ROOTCA=1 spiffe://${own}=1 default=a1 ${web}=a1`,
    );
  });
});

describe("refusals", () => {
  test("XDS-16 EDGE-14 NACK, NACK, ACK: told each time, never resent, the stream lives", () => {
    const trace = new Trace(first);
    trace.request({ resourceNames: ["default"] });
    expect(trace.nack(["default"], "Failed\nto load")).toEqual([
      "refused default=a1: Failed?to load",
    ]);
    expect(trace.view({ ...first })).toEqual([]);
    expect(trace.view(renewed)).toEqual(["send 1.2 default=a2"]);
    expect(trace.nack(["default"])).toEqual(["refused default=a2: bad"]);
    const third = view({ svids: [svid("web", "a3")], bundles: [...first.bundles.values()] });
    expect(trace.view(third)).toEqual(["send 1.3 default=a3"]);
    expect(trace.ack(["default"])).toEqual(["acknowledged default=a3"]);
  });

  test("XDS-16 Envoy's message is cut", () => {
    const trace = new Trace(first);
    trace.request({ resourceNames: ["default"] });
    expect(trace.nack(["default"], "x".repeat(5_000))[0]?.length).toBeLessThan(600);
  });

  test("SOTW-03 another version is no refusal: only error_detail is", () => {
    const trace = new Trace(first);
    trace.request({ resourceNames: ["default"] });
    const lines = trace.request({
      resourceNames: ["default"],
      versionInfo: "other",
      responseNonce: "1.1",
    });
    expect(lines).toEqual(["acknowledged default=a1"]);
  });

  test("EDGE-15 XDS-07 a thousand identical ACKs get no response", () => {
    const trace = settled(["default"]);
    for (let count = 0; count < 1_000; count += 1) trace.ack(["default"]);
    expect(trace.sends.length).toBe(1);
    expect(trace.lines.length).toBe(3);
  });
});

describe("a client that reads slowly", () => {
  test("EDGE-16 XDS-12 a thousand rotations while it does not read: then only the newest", () => {
    const trace = settled(["default"]);
    trace.reading = false;
    const bundles = [...first.bundles.values()];
    for (let serial = 2; serial <= 1_000; serial += 1) {
      trace.view(view({ svids: [svid("web", `a${serial}`)], bundles }));
    }
    expect(trace.sends.length).toBe(2);
    trace.reading = true;
    expect(trace.written()).toEqual(["send 1.3 default=a1000"]);
  });

  test("SOTW-15 what was unsubscribed while the socket was full is not sent", () => {
    const trace = settled(["default"]);
    trace.reading = false;
    trace.view(renewed);
    trace.view(first);
    trace.request({ resourceNames: ["ROOTCA"], responseNonce: "1.1" });
    expect(trace.written()).toEqual(["send 1.3 ROOTCA=1"]);
  });

  test("a client that never answers does not make the stream grow", () => {
    const trace = new Trace(first);
    trace.request({ resourceNames: ["default"] });
    const bundles = [...first.bundles.values()];
    for (let serial = 2; serial <= 500; serial += 1) {
      trace.view(view({ svids: [svid("web", `a${serial}`)], bundles }));
    }
    expect(trace.state.delivery.unanswered.size).toBe(64);
    expect(trace.ack(["default"])).toEqual(["acknowledged default=a500"]);
    expect(trace.state.delivery.unanswered.size).toBe(0);
  });
});

describe("trust", () => {
  const rotated = view({ svids: [svid("web", "a2")], bundles: [bundle(own, 2)] });

  test("SDS-07 new trust goes first, SVIDs once the other streams have had theirs", () => {
    const trace = settled(["default", "ROOTCA"]);
    trace.turning = false;
    expect(trace.view(rotated)).toEqual(["send 1.2 ROOTCA=2", "hold 1"]);
    expect(trace.ack(["default", "ROOTCA"])).toEqual(["acknowledged ROOTCA=2"]);
    expect(trace.released(1)).toEqual(["send 1.3 default=a2"]);
  });

  test("SDS-07 a hold of an earlier view does not let go for a later one", () => {
    const trace = settled(["default"]);
    trace.turning = false;
    trace.view(rotated);
    const again = view({ svids: [svid("web", "a3")], bundles: [bundle(own, 3)] });
    expect(trace.view(again)).toEqual(["hold 2"]);
    expect(trace.released(1)).toEqual([]);
    expect(trace.released(2)).toEqual(["send 1.2 default=a3"]);
  });

  test("a newer version of unchanged trust is acknowledged without being sent", () => {
    const trace = settled(["ROOTCA"]);
    const same = [...first.bundles.values()][0]?.x509Authorities ?? [];
    const newer = view({
      svids: [svid("web", "a1")],
      bundles: [{ ...bundle(own, 5), x509Authorities: same }],
    });
    expect(trace.view(newer)).toEqual(["acknowledged ROOTCA=5", "hold 1"]);
    expect(trace.view(newer)).toEqual([]);
  });

  test("a newer version of trust on its way is acknowledged with the answer, refused with the refusal", () => {
    const trace = new Trace(first);
    trace.request({ resourceNames: ["ROOTCA"] });
    const same = [...first.bundles.values()][0]?.x509Authorities ?? [];
    const at = (sequence: number) =>
      view({
        svids: [svid("web", "a1")],
        bundles: [{ ...bundle(own, sequence), x509Authorities: same }],
      });
    expect(trace.view(at(5))).toEqual(["hold 1"]);
    expect(trace.nack(["ROOTCA"])).toEqual(["refused ROOTCA=5: bad"]);
    expect(trace.view(at(6))).toEqual(["refused ROOTCA=6: bad", "hold 2"]);
  });

  test("SOTW-09 a vanished SVID sends nothing", () => {
    const trace = settled(["default", web]);
    const lines = trace.view(view({ bundles: [...first.bundles.values()] }));
    expect(lines.filter((line) => line.startsWith("send"))).toEqual([]);
    expect(lines).toContain("waiting default unknown");
  });

  test("SDS-05 an expired SVID is not sent, and the stream waits for its successor", () => {
    const trace = new Trace(view({ svids: [svid("web", "a1", 1_000)] }));
    trace.now = 1_000;
    expect(trace.request({ resourceNames: ["default"] })).toEqual([
      "open -",
      "waiting default held",
    ]);
    expect(trace.view(renewed)).toContain("send 1.1 default=a2");
  });

  test("SOTW-12 equal content has one version on every stream, and a new one when any part changes", () => {
    const versions = (trace: Trace) => trace.sends.map((send) => send.response.version);
    const left = settled(["default", "ROOTCA"]);
    const right = settled(["ROOTCA", "default"], { ...first });
    expect(versions(left)).toEqual(versions(right));
    left.view(renewed);
    expect(new Set(versions(left)).size).toBe(2);
  });
});
