import { describe, expect, test } from "vitest";
import { parseTrustDomain } from "../../src/core/spiffe/spiffe-id.ts";
import type { CrlSet } from "../../src/core/svid/workload-view.ts";
import { certificatesToPem, crlsToPem } from "../../src/core/x509/pem.ts";
import { type ServableOptions, servableCheck } from "../../src/sds/servable.ts";
import { RecordedLog } from "../identity/support/recorded-log.ts";
import { hour, makeAuthority, makeBundle, makeSvid, noon } from "../support/ca-world.ts";
import { makeCrl } from "../support/crl-world.ts";
import { HeldClock } from "../support/held-clock.ts";
import { contextOf } from "./support/contexts.ts";
import { Trace } from "./support/trace.ts";
import { catalog, view } from "./support/views.ts";

const [one, two] = [makeAuthority(), makeAuthority()];
const partner = makeAuthority({ trustDomain: "partner.test" });
const own = makeBundle("example.org", [one, two]);
const foreign = makeBundle("partner.test", [partner]);
const web = makeSvid([one]);
const good: CrlSet = { crls: [makeCrl(one), makeCrl(two)], intermediates: [] };
const trustDomain = parseTrustDomain("example.org");

function world(crls: CrlSet | undefined, options: ServableOptions & { now?: number } = {}) {
  const clock = new HeldClock(options.now ?? noon);
  const secrets = catalog({ check: servableCheck(clock, options) });
  const seen = view({
    svids: [web],
    bundles: [own, foreign],
    crls: new Map(crls === undefined ? [] : [[trustDomain, crls]]),
  });
  const find = (name: string, validator: "spiffe" | "trusted-ca" = "spiffe") =>
    contextOf(secrets.snapshot(seen).find(name, { validator, trusted: false, now: clock.now() }));
  return { clock, find, secrets, seen };
}

const certificates = certificatesToPem(own.x509Authorities);

describe("CRLs on their way to Envoy", () => {
  test("EF-20 SDS-08 under the SPIFFE validator they stand in their own domain's trust_bundle, and nowhere else", () => {
    const { find } = world(good);
    const expected = certificates + crlsToPem(good.crls);
    expect(find("ROOTCA")).toEqual({ domains: [["example.org", expected]] });
    expect(find("ALL")).toEqual({
      domains: [
        ["example.org", expected],
        ["partner.test", certificatesToPem(foreign.x509Authorities)],
      ],
    });
  });

  test("SDS-08 under the flat validator they stand in crl", () => {
    const { find } = world(good);
    expect(find("ROOTCA", "trusted-ca")).toEqual({
      trustedCa: certificates,
      crl: crlsToPem(good.crls),
    });
  });

  test("without any, the context has no crl, not an empty one", () => {
    const { find } = world(undefined);
    expect(find("ROOTCA", "trusted-ca")).toEqual({ trustedCa: certificates, crl: undefined });
    expect(find("ROOTCA")).toEqual({ domains: [["example.org", certificates]] });
  });

  test("a new CRL is pushed at once; the same again, or an equal one, is not", () => {
    const { secrets, seen } = world(undefined);
    const trace = new Trace(seen, { catalog: secrets });
    trace.now = noon;
    trace.request({ resourceNames: ["ROOTCA"] });
    expect(trace.ack(["ROOTCA"])).toEqual(["acknowledged ROOTCA=1"]);
    const revoked = { ...seen, crls: new Map([[trustDomain, good]]) };
    expect(trace.view(revoked)).toEqual(["send 1.2 ROOTCA=1"]);
    expect(trace.view({ ...revoked })).toEqual([]);
    expect(trace.view({ ...revoked, crls: new Map([[trustDomain, { ...good }]]) })).toEqual([]);
    expect(trace.view(seen)).toEqual(["send 1.3 ROOTCA=1"]);
  });
});

describe("the guard before the wire", () => {
  const stripped = { domains: [["example.org", certificates]] };

  test.for([
    ["none of its own", { crls: [], intermediates: [] }],
    ["one that is no CRL", { ...good, crls: [makeCrl(one), Buffer.from("no DER")] }],
    ["one cut short", { ...good, crls: [makeCrl(one), makeCrl(two).subarray(0, -3)] }],
    ["one of another trust domain", { ...good, crls: [...good.crls, makeCrl(partner)] }],
    [
      "one that another key signed",
      { ...good, crls: [makeCrl(one), makeCrl(two, { key: one.key })] },
    ],
    ["one authority without", { ...good, crls: [makeCrl(one)] }],
    ["one authority with two", { ...good, crls: [...good.crls, makeCrl(one, { number: 2n })] }],
    [
      "one from the future",
      { ...good, crls: [makeCrl(one), makeCrl(two, { thisUpdate: noon + hour })] },
    ],
    [
      "one that has ended",
      { ...good, crls: [makeCrl(one), makeCrl(two, { nextUpdate: noon - 1000 })] },
    ],
  ] as const)(
    "EF-21 EF-26 a set with %s: the bundle goes without CRLs, and that is told",
    ([, set]) => {
      const log = new RecordedLog();
      const { find } = world(set, { log });
      expect(find("ROOTCA")).toEqual(stripped);
      expect(find("ROOTCA")).toEqual(stripped);
      expect(log.alarms).toEqual(["crls-withheld"]);
    },
  );

  test("EF-21 what was fit is looked at again when it ends", async () => {
    const crls = [makeCrl(one), makeCrl(two, { nextUpdate: noon + hour })];
    const { clock, find } = world({ ...good, crls });
    expect(find("ROOTCA")).not.toEqual(stripped);
    await clock.advance(hour);
    expect(find("ROOTCA")).toEqual(stripped);
  });

  test("EF-21 what the operator wants refused passes its end", () => {
    const crls = [makeCrl(one), makeCrl(two, { nextUpdate: noon + hour })];
    const late = { now: noon + 2 * hour };
    expect(world({ ...good, crls }, { ...late, stale: "refuse" }).find("ROOTCA")).toEqual({
      domains: [["example.org", certificates + crlsToPem(crls)]],
    });
    expect(world({ ...good, crls }, late).find("ROOTCA")).toEqual(stripped);
  });
});
