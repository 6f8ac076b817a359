import { describe, expect, test } from "vitest";
import type { WorkloadView } from "../../src/core/svid/workload-view.ts";
import {
  X509BundlesResponse,
  X509SVIDResponse,
} from "../../src/wire/spiffe/workload/workloadapi.ts";
import type { X509Method } from "../../src/workload-api/ports.ts";
import {
  type Say,
  sayX509,
  type X509MessageOptions,
} from "../../src/workload-api/x509-messages.ts";
import { bundle, der, fed, own, svid, view } from "./support/views.ts";

function say(
  method: X509Method,
  from: WorkloadView,
  more: Partial<X509MessageOptions> & { now?: number } = {},
): Say {
  return sayX509(method, from, {
    check: () => undefined,
    verifiersWithoutIdentity: false,
    now: 0,
    ...more,
  });
}

function svids(from: WorkloadView, more: Parameters<typeof say>[2] = {}): X509SVIDResponse {
  const said = say("FetchX509SVID", from, more);
  return X509SVIDResponse.decode(said.kind === "message" ? said.message.bytes : Buffer.alloc(0));
}

function bundles(from: WorkloadView, more: Parameters<typeof say>[2] = {}): readonly string[] {
  const said = say("FetchX509Bundles", from, more);
  const bytes = said.kind === "message" ? said.message.bytes : Buffer.alloc(0);
  return [...X509BundlesResponse.decode(bytes).bundles].map(
    ([id, content]) => `${id} ${String(content)}`,
  );
}

const both = view(
  [svid("web", "a1"), svid("api", "b1")],
  [bundle(fed, 3), bundle(own, 1, ["r1", "r2"])],
);

test("WAPI-11 CRLs go along, DER, one an element: those of the domains whose bundles do, with the same order each time", () => {
  const set = (...names: readonly string[]) => ({ crls: names.map(der), intermediates: [] });
  const crls: WorkloadView["crls"] = new Map([
    [bundle(own, 1).trustDomain, set("crl 1", "crl 2")],
    [bundle(fed, 1).trustDomain, set("crl 3")],
    [bundle("gone.test", 1).trustDomain, set("crl 4")],
  ]);
  const expected = ["crl 1", "crl 2", "crl 3"].map((name) => Buffer.from(der(name)));
  expect(svids({ ...both, crls }).crl).toEqual(expected);
  const said = say("FetchX509Bundles", { ...both, crls });
  const bytes = said.kind === "message" ? said.message.bytes : Buffer.alloc(0);
  expect(X509BundlesResponse.decode(bytes).crl).toHaveLength(3);
  expect(svids(both).crl).toEqual([]);
});

describe("FetchX509SVID", () => {
  test("WAPI-10 every field but the hint is set, chains and bundles are joined DER", () => {
    expect(svids(both).svids[0]).toEqual({
      spiffeId: `spiffe://${own}/web`,
      x509Svid: Buffer.concat([der("leaf web a1"), der("intermediate")]),
      x509SvidKey: der("key web a1"),
      bundle: Buffer.concat([der("r1"), der("r2")]),
      hint: "",
    });
  });

  test("WAPI-09 WAPI-18 one SVID for each identity, in the view's order", () => {
    expect(svids(both).svids.map((one) => one.spiffeId)).toEqual([
      `spiffe://${own}/web`,
      `spiffe://${own}/api`,
    ]);
  });

  test("WAPI-12 federated bundles by the SPIFFE ID of their trust domain, the own one not among them", () => {
    expect([...svids(both).federatedBundles]).toEqual([[`spiffe://${fed}`, der(`${fed} root 3`)]]);
  });

  test("WAPI-14 WAPI-16 a hint that is taken or too long is left out, its identity is not", () => {
    const hints = ["x", "x", "é".repeat(513), "y", ""];
    const many = view(hints.map((hint, index) => svid(`w${index}`, `${index}`, { hint })));
    expect(svids(many).svids.map((one) => one.hint)).toEqual(["x", "", "", "y", ""]);
  });

  test("WAPI-09 WEP-14 without an identity: never an empty list", () => {
    expect(say("FetchX509SVID", view([]))).toMatchObject({
      kind: "never",
      error: { code: "NO_IDENTITY" },
    });
  });

  test.for([
    ["nothing is known yet", view([], [], false)],
    ["the bundle has not come", view([svid("web", "a1")], [])],
    ["the bundle is empty", view([svid("web", "a1")], [bundle(own, 1, [])])],
    ["all SVIDs have expired", view([svid("web", "a1", { expiresAt: 0 })])],
  ] as const)("WEP-13 WAPI-08 %s: later, not never", ([, from]) => {
    expect(say("FetchX509SVID", from)).toMatchObject({
      kind: "later",
      error: { code: "NOT_READY" },
    });
  });

  test("WEP-13 what is cached is served while the node is still syncing", () => {
    expect(svids(view([svid("web", "a1")], [bundle(own, 1)], false)).svids.length).toBe(1);
  });

  test("an SVID that does not pass its check is left out, the others are served", () => {
    const check = (one: { readonly serial: string }) => (one.serial === "a1" ? "bad" : undefined);
    expect(svids(both, { check }).svids.map((one) => one.spiffeId)).toEqual([
      `spiffe://${own}/api`,
    ]);
    expect(say("FetchX509SVID", both, { check: () => "bad" })).toMatchObject({ kind: "later" });
  });

  test("what a message was made from is told with it", () => {
    const said = say("FetchX509SVID", both);
    expect(said.kind === "message" && said.message.versions).toEqual({
      svids: [svid("web", "a1"), svid("api", "b1")].map(({ serial, expiresAt }) => ({
        serial,
        expiresAt,
      })),
      sequences: new Map([
        [own, 1n],
        [fed, 3n],
      ]),
    });
  });
});

describe("FetchX509Bundles", () => {
  test("WAPI-19 all bundles by the SPIFFE ID of their trust domain, the own one among them", () => {
    expect(bundles(both)).toEqual([
      `spiffe://${own} der of r1;der of r2;`,
      `spiffe://${fed} der of ${fed} root 3;`,
    ]);
  });

  test("WAPI-06 equal content gives equal bytes in whatever order it came", () => {
    const turned = view([svid("web", "a1")], [...both.bundles.values()].toReversed());
    expect(bundles(turned)).toEqual(bundles(both));
  });

  test("WAPI-07 an emptied federated bundle is left out", () => {
    expect(bundles(view([svid("web", "a1")], [bundle(own, 1), bundle(fed, 4, [])])).length).toBe(1);
  });

  test("WAPI-19 without an identity: refused, or the own bundle alone where that is allowed", () => {
    const none = view([], [bundle(own, 1), bundle(fed, 3)]);
    expect(say("FetchX509Bundles", none)).toMatchObject({ kind: "never" });
    expect(bundles(none, { verifiersWithoutIdentity: true })).toEqual([
      `spiffe://${own} der of ${own} root 1;`,
    ]);
    expect(say("FetchX509SVID", none, { verifiersWithoutIdentity: true })).toMatchObject({
      kind: "never",
    });
  });
});
