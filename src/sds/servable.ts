import type { Bundle } from "../core/bundle/bundle.ts";
import { checkServable, checkServableBundle } from "../core/svid/check.ts";
import { checkServableCrls } from "../core/svid/check-crls.ts";
import type { StaleCrls } from "../core/svid/crl-cover.ts";
import type { VerifiedSvid } from "../core/svid/verify.ts";
import type { CrlSet, X509Svid } from "../core/svid/workload-view.ts";
import type { Certificate } from "../core/x509/certificate.ts";
import type { Clock } from "../kit/clock.ts";
import { reasonOf } from "../kit/errors.ts";
import { type Log, silentLog } from "../kit/log.ts";
import { type Metrics, silentMetrics } from "../kit/metrics.ts";
import type { ServableCheck } from "./ports.ts";

/** What the checks need besides time. */
export interface ServableOptions {
  /** Whether CRLs past their nextUpdate may go out. Defaults to `strip`: they may not. */
  readonly stale?: StaleCrls;
  /** Hears of CRLs that are left out. Default: nobody does. */
  readonly log?: Log;
  readonly metrics?: Metrics;
}

/** The checks of core, as this room asks for them: a reason instead of an error, for a stream that waits and goes on. */
export function servableCheck(clock: Clock, options: ServableOptions = {}): ServableCheck {
  return {
    svid: svidCheck(clock),
    bundle: (bundle) => faultOf(() => checkServableBundle(bundle)),
    crls: crlCheck(clock, options),
  };
}

/**
 * Looks once at each SVID. A bundle that comes later and still holds the anchor that it was proven by changes nothing but its dates: a change of
 * trust must not cost a node all its signatures.
 */
function svidCheck(clock: Clock): ServableCheck["svid"] {
  const passed = new WeakMap<X509Svid, VerifiedSvid>();
  return (svid, own) =>
    faultOf(() => {
      const now = clock.now();
      // Of longer chains not every certificate is at hand.
      const before = svid.chain.length > 2 ? undefined : passed.get(svid);
      const stillHolds =
        before !== undefined &&
        holdsAnchor(own, before.anchor) &&
        [before.leaf, before.authority, before.anchor].every(
          ({ notBefore, notAfter }) => notBefore <= now && now < notAfter,
        );
      if (stillHolds) checkServableBundle(own);
      else passed.set(svid, checkServable(svid, own, now));
    });
}

function holdsAnchor({ x509Authorities }: Bundle, { der }: Certificate): boolean {
  const wanted = Buffer.from(der.buffer, der.byteOffset, der.byteLength);
  return x509Authorities.some((one) => wanted.equals(one));
}

/** Looks once at each set beside each bundle, and again when the time has come at which the verdict may change. */
function crlCheck(clock: Clock, options: ServableOptions): ServableCheck["crls"] {
  const { stale = "strip", log = silentLog, metrics = silentMetrics } = options;
  const seen = new WeakMap<CrlSet, WeakMap<Bundle, Look>>();
  return (crls, bundle) => {
    const ofSet = seen.get(crls) ?? new WeakMap<Bundle, Look>();
    seen.set(crls, ofSet);
    const now = clock.now();
    const before = ofSet.get(bundle);
    if (before !== undefined && before.from <= now && now < before.until) return before.fault;
    const look = lookAt(() => checkServableCrls(crls, bundle, { stale, now }), now);
    ofSet.set(bundle, look);
    if (look.fault !== undefined && look.fault !== before?.fault) {
      metrics.increment("herald_node_crls_withheld_total");
      log.error(
        { alarm: "crls-withheld", trustDomain: bundle.trustDomain, reason: look.fault },
        "CRLs do not hold beside their bundle; Envoys get the bundle without them",
      );
    }
    return look.fault;
  };
}

interface Look {
  readonly fault: string | undefined;
  /** Milliseconds since the epoch. */
  readonly from: number;
  readonly until: number;
}

/** A fault is looked at again within this long: "not yet valid" mends itself. */
const lookAgainMs = 1000;

function lookAt(check: () => number, now: number): Look {
  try {
    return { fault: undefined, from: now, until: check() };
  } catch (thrown) {
    return { fault: reasonOf(thrown), from: now, until: now + lookAgainMs };
  }
}

function faultOf(check: () => unknown): string | undefined {
  try {
    check();
    return undefined;
  } catch (thrown) {
    return reasonOf(thrown);
  }
}
