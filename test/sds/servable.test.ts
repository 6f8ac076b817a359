import { expect, test } from "vitest";
import { servableCheck } from "../../src/sds/servable.ts";
import { hour, makeAuthority, makeBundle, makeKey, makeSvid, noon } from "../support/ca-world.ts";
import { catalog, view } from "./support/views.ts";

const clock = (now: number) => ({ now: () => now, after: () => ({ cancel: () => {} }) });
const root = makeAuthority();
const bundle = makeBundle("example.org", [root]);
const svid = makeSvid([root]);
const otherKey = new Uint8Array(makeKey().privateKey.export({ type: "pkcs8", format: "der" }));

test("SDS-05 a good SVID and its bundle pass", () => {
  const check = servableCheck(clock(noon));
  expect([check.svid(svid, bundle), check.bundle(bundle)]).toEqual([undefined, undefined]);
});

test.for([
  ["EF-41 of another key", { ...svid, privateKey: otherKey }, bundle, noon],
  ["of another authority", svid, makeBundle("example.org", [makeAuthority()]), noon],
  ["EF-41 that has expired", svid, bundle, noon + 2 * hour],
] as const)("SDS-05 an SVID %s is held back with the reason", ([, one, own, now]) => {
  expect(servableCheck(clock(now)).svid(one, own)).toMatch(/./);
});

test("EF-26 an empty or broken bundle is held back with the reason", () => {
  const check = servableCheck(clock(noon));
  expect(check.bundle(makeBundle("example.org", []))).toMatch(/./);
  expect(check.bundle({ ...bundle, x509Authorities: [Buffer.from("no DER")] })).toMatch(/./);
});

test("SDS-05 with core's checks behind it the catalogue serves what is good and nothing else", () => {
  const asked = { validator: "spiffe", now: noon, trusted: false } as const;
  const find = (name: string, one: typeof svid) =>
    catalog({ check: servableCheck(clock(noon)) })
      .snapshot(view({ svids: [one], bundles: [bundle] }))
      .find(name, asked).kind;
  expect(["default", "ROOTCA", "ALL"].map((name) => find(name, svid))).toEqual([
    "secret",
    "secret",
    "secret",
  ]);
  expect(find("default", { ...svid, privateKey: otherKey })).toBe("absent");
});

test("SDS-05 an SVID that passed is held against the next bundle, and against the clock", () => {
  const time = { now: noon };
  const check = servableCheck({ now: () => time.now, after: () => ({ cancel: () => {} }) });
  const other = makeAuthority();
  expect(check.svid(svid, bundle)).toBeUndefined();
  expect(check.svid(svid, makeBundle("example.org", [other, root], 2n))).toBeUndefined();
  expect(check.svid(svid, makeBundle("example.org", [other], 3n))).toMatch(/./);
  expect(check.svid(svid, makeBundle("example.org", [], 4n))).toMatch(/./);
  time.now = noon + 2 * hour;
  expect(check.svid(svid, makeBundle("example.org", [other, root], 5n))).toMatch(/./);
});
