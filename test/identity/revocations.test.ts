import { beforeEach, describe, expect, test } from "vitest";
import type { StaleCrls } from "../../src/core/svid/crl-cover.ts";
import { type RevocationState, Revocations } from "../../src/identity/revocations.ts";
import { hour, makeAuthority, makeBundle, noon, type WorldAuthority } from "../support/ca-world.ts";
import { type CrlBend, makeCrl } from "../support/crl-world.ts";
import { HeldClock } from "../support/held-clock.ts";
import { CountedMetrics } from "./support/followed.ts";
import { RecordedLog } from "./support/recorded-log.ts";

const [one, two] = [makeAuthority(), makeAuthority()];
const both = makeBundle("example.org", [one, two]);
const day = 24 * hour;

let clock: HeldClock;
let log: RecordedLog;
let metrics: CountedMetrics;
let told: number;
let revocations: Revocations;

function open(stale: StaleCrls = "strip"): void {
  clock = new HeldClock(noon);
  log = new RecordedLog();
  metrics = new CountedMetrics();
  told = 0;
  revocations = new Revocations({ stale, clock, log, metrics, onChange: () => (told += 1) });
}
beforeEach(() => open());

const crl = (by: WorldAuthority, bend: CrlBend = {}): Buffer => Buffer.from(makeCrl(by, bend));
const written = (crls: readonly Uint8Array[]): readonly string[] =>
  crls.map((der) => Buffer.from(der).toString("base64"));

const shown = (): readonly Buffer[] =>
  (revocations.crls?.crls ?? []).map((der) => Buffer.from(der));

/** Publishes these, and gives what callers are shown. */
function publish(
  crls: readonly Uint8Array[],
  bend: Partial<RevocationState> = {},
): readonly Uint8Array[] {
  revocations.update({
    published: written(crls),
    bundle: both,
    activeAuthority: one.certificate.subjectKeyId ?? "",
    intermediates: [],
    ...bend,
  });
  return shown();
}

const alarms = (): readonly unknown[] => log.alarms;

describe("what is published", () => {
  test("proven and complete, it is shown", () => {
    const crls = [crl(one), crl(two)];
    expect(publish(crls)).toEqual(crls);
    expect([revocations.gap, alarms()]).toEqual([undefined, []]);
  });

  test("the same state again gives the same list: nothing is pushed anew", () => {
    const crls = [crl(one), crl(two)];
    publish(crls);
    const first = revocations.crls;
    publish(crls);
    publish([...crls].toReversed());
    expect(revocations.crls).toBe(first);
  });

  test("nothing, nothing is shown and nothing is missing", () => {
    expect(publish([])).toEqual([]);
    expect([revocations.gap, log.lines]).toEqual([undefined, []]);
  });

  test.for([
    [
      "by another key, in the authority's name",
      () => crl(two, { key: one.key }),
      "X509_CRL_FOREIGN",
    ],
    ["without an end", () => crl(two, { nextUpdate: null }), "X509_CRL"],
    ["cut short", () => crl(two).subarray(0, -1), "X509_DER"],
    ["that is nothing", () => Buffer.alloc(0), "X509_DER"],
  ] as const)(
    "EF-26 a CRL %s is never shown: alarm, metric, and none of the others either",
    ([, bad, code]) => {
      expect(publish([crl(one), bad()])).toEqual([]);
      expect(revocations.gap).toEqual({ kind: "missing", authority: two.certificate.subjectKeyId });
      expect(alarms()).toEqual(["bad-crl", "crls-stripped"]);
      expect(metrics.counts.get(`herald_node_crls_refused_total ${code}`)).toBe(1);
      // Told once, however often the state is looked at.
      publish([crl(one), bad()].slice(0, 0));
    },
  );

  test("a CRL of an authority that the bundle has not is passed over without alarm: its bundle may be on its way", () => {
    const coming = makeAuthority();
    const crls = [crl(one), crl(two)];
    expect(publish([...crls, crl(coming)])).toEqual(crls);
    expect(alarms()).toEqual([]);
    const all = [...crls, crl(coming)];
    const bundle = makeBundle("example.org", [one, two, coming]);
    expect(publish(all, { bundle }).length).toBe(3);
  });
});

describe("over time", () => {
  test("a CRL is replaced by a higher number, and a lower one is refused", () => {
    const [second, third] = [crl(one, { number: 2n }), crl(one, { number: 3n })];
    const other = crl(two);
    expect(publish([second, other])).toEqual([second, other]);
    expect(publish([third, other])).toEqual([third, other]);
    expect(publish([second, other])).toEqual([third, other]);
    expect(alarms()).toEqual(["bad-crl"]);
    expect(metrics.counts.get("herald_node_crls_refused_total rollback")).toBe(1);
  });

  test("two CRLs of one number: the first stays, and the second is refused", () => {
    const [first, forked] = [crl(one), crl(one, { revoked: [{ serial: "01" }] })];
    publish([first, crl(two)]);
    expect(publish([forked, crl(two)])[0]).toEqual(first);
    expect(metrics.counts.get("herald_node_crls_refused_total equivocation")).toBe(1);
  });

  test("a CRL that is left out stays until its authority leaves the bundle: nobody is let back in by silence", () => {
    const crls = [crl(one), crl(two)];
    publish(crls);
    expect(publish(crls.slice(0, 1))).toEqual(crls);
    expect(publish(crls.slice(0, 1), { bundle: makeBundle("example.org", [one]) })).toEqual(
      crls.slice(0, 1),
    );
    expect(publish(crls.slice(0, 1))).toEqual([]);
  });

  test("no CRL at all says that nobody is revoked any more: all are taken off, without alarm", async () => {
    publish([crl(one), crl(two)]);
    expect(publish([])).toEqual([]);
    await clock.advance(2 * day);
    expect([revocations.gap, alarms()]).toEqual([undefined, []]);
  });

  test("strip: before nextUpdate all are taken off, by the clock alone; the next CRL brings them back", async () => {
    const other = crl(two, { number: 1n, nextUpdate: noon + day });
    publish([crl(one, { nextUpdate: noon + hour }), other]);
    await clock.advance(hour - 11_000);
    expect([shown().length, told]).toEqual([2, 0]);
    expect(alarms()).toEqual(["crl-ageing"]);
    await clock.advance(1000);
    expect([shown().length, told]).toEqual([0, 1]);
    expect(revocations.gap).toEqual({ kind: "stale", authority: one.certificate.subjectKeyId });
    expect(alarms()).toEqual(["crl-ageing", "crls-stripped"]);
    expect(metrics.counts.get("herald_node_crls_stripped")).toBe(1);
    const next = crl(one, { number: 2n, nextUpdate: noon + day });
    expect(publish([next, other])).toEqual([next, other]);
    expect(metrics.counts.get("herald_node_crls_stripped")).toBe(0);
  });

  test("refuse: left in place past nextUpdate, with an alarm", async () => {
    open("refuse");
    publish([crl(one, { nextUpdate: noon + hour }), crl(two)]);
    await clock.advance(2 * hour);
    expect([shown().length, told]).toEqual([2, 0]);
    expect(alarms()).toEqual(["crl-ageing", "crls-stale"]);
  });

  test("a CRL from the future is shown when its time has come", async () => {
    publish([crl(one, { thisUpdate: noon + hour }), crl(two)]);
    expect(revocations.gap).toMatchObject({ kind: "early" });
    await clock.advance(hour);
    expect([shown().length, told]).toEqual([2, 1]);
  });

  test("stopped, it tells nothing any more", async () => {
    publish([crl(one, { nextUpdate: noon + hour }), crl(two)]);
    revocations.stop();
    await clock.advance(day);
    expect(told).toBe(0);
  });
});

describe("an authority below the bundle's", () => {
  const below = makeAuthority({ parent: one });
  const activeAuthority = below.certificate.subjectKeyId ?? "";

  test("its CRL is proven by the chains of this node's SVIDs, and shown with the root's", () => {
    const crls = [crl(one), crl(two), crl(below)];
    const chains = { activeAuthority, intermediates: [below.der] };
    expect(publish(crls, chains)).toEqual(crls);
    expect(revocations.crls?.intermediates).toEqual([new Uint8Array(below.der)]);
    expect(alarms()).toEqual([]);
  });

  test("it signs, and its certificate has not been seen here, or its root has no CRL: none is shown, and that is told", () => {
    expect(publish([crl(one), crl(two), crl(below)], { activeAuthority })).toEqual([]);
    expect(revocations.gap).toEqual({ kind: "missing", authority: activeAuthority });
    open();
    const chains = { activeAuthority, intermediates: [below.der] };
    expect(publish([crl(below)], chains)).toEqual([]);
    expect(revocations.gap).toMatchObject({ kind: "missing" });
  });
});
