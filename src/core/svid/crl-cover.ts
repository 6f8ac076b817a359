import type { Certificate } from "../x509/certificate.ts";
import { type Crl, verifyCrl } from "../x509/crl-reader.ts";
import { endOf, findPath, isSame } from "./path.ts";

/** What becomes of CRLs whose nextUpdate has passed: taken off, or left in place so that Envoy refuses everybody. */
export type StaleCrls = "strip" | "refuse";

/** What a trust domain's CRLs are held against. */
export interface CrlFacts {
  /** The authorities of the bundle. */
  readonly anchors: readonly Certificate[];
  /** Authorities below them that are known to sign SVIDs, or may. */
  readonly intermediates: readonly Certificate[];
  /** Subject key id of the authority that signs now, hex; empty when unknown. One below the anchors may not have been seen here yet. */
  readonly active: string;
  /** Each proven by {@link proveCrl}; at most one of an authority counts. */
  readonly crls: readonly Crl[];
  readonly stale: StaleCrls;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** Why a trust domain's CRLs cannot be used. */
export interface CrlGap {
  /** No CRL of this authority; one that is not valid yet; one that is not valid any more. */
  readonly kind: "missing" | "early" | "stale";
  /** Subject key id of the authority, hex; empty when it has none. */
  readonly authority: string;
}

/** What may be shown to verifiers, and when to look again. */
export interface CrlCover {
  /** Empty when nothing was revoked, or when there is a gap. */
  readonly crls: readonly Crl[];
  readonly gap: CrlGap | undefined;
  /** Authorities whose CRL is in the last third of its life: its issuer should have published the next one long ago. */
  readonly ageing: readonly string[];
  /** When the first of the CRLs in use ends; undefined without any. */
  readonly ends: number | undefined;
  /** The next moment at which any of this changes by itself; Infinity when none will. */
  readonly nextLook: number;
}

/** A CRL leaves before its end, so that the push has arrived when Envoy would begin to refuse everybody. */
const leaveEarlyMs = 10_000;

/**
 * Which of a trust domain's CRLs may go to verifiers. All or none: one CRL in a trust domain's store makes Envoy demand one of every
 * authority on the path of every peer, roots included (X509_V_FLAG_CRL_CHECK_ALL; EF-21), and where one lacks it refuses all of that
 * authority's SVIDs. So each authority that can be on a path must have its CRL, or nobody's is shown.
 */
export function coverOf(facts: CrlFacts): CrlCover {
  const { anchors, now, stale } = facts;
  if (facts.crls.length === 0) return nothing;
  // An authority that has expired is on nobody's path any more.
  const needed = distinct([...anchors, ...facts.intermediates].filter((one) => now < endOf(one)));
  const isActiveKnown =
    facts.active === "" || needed.some((one) => one.subjectKeyId === facts.active);
  const pairs = needed.map((authority) => ({
    authority: authority.subjectKeyId ?? "",
    crl: facts.crls.find((crl) => isIssuedBy(crl, authority)),
  }));
  const gaps = pairs.flatMap((pair) => gapOf(pair, { now, stale }) ?? []);
  const [gap] = isActiveKnown ? gaps : [{ kind: "missing", authority: facts.active } as const];
  const used = pairs.flatMap(({ crl }) => (crl === undefined ? [] : [crl]));
  const moments = [...needed.map(endOf), ...used.flatMap((crl) => momentsOf(crl))];
  return {
    crls: gap === undefined ? used : [],
    gap,
    ageing: used.filter((crl) => now >= ageingFrom(crl)).map((crl) => crl.authorityKeyId),
    ends: used.length === 0 ? undefined : Math.min(...used.map((crl) => crl.nextUpdate)),
    nextLook: Math.min(...moments.filter((moment) => moment > now), Number.POSITIVE_INFINITY),
  };
}

/**
 * Of these certificates, those that are authorities below one of the anchors: the chains of SVIDs name them, and a CRL may be theirs.
 */
export function intermediatesBelow(
  anchors: readonly Certificate[],
  certificates: readonly Certificate[],
  now: number,
): readonly Certificate[] {
  const others = certificates.filter(
    (one) => one.isCa && !anchors.some((anchor) => isSame(anchor.der, one.der)),
  );
  return others.filter((leaf) => {
    try {
      findPath({ leaf, intermediates: others.filter((one) => one !== leaf), anchors, now });
      return now < endOf(leaf);
    } catch {
      return false;
    }
  });
}

/**
 * The authority among these that issued a CRL; undefined when none of them has its key, which is no fault: it may be on its way.
 * @throws {X509Error} X509_CRL_FOREIGN when one has the key id and did not issue it
 */
export function proveCrl(crl: Crl, authorities: readonly Certificate[]): Certificate | undefined {
  const named = authorities.filter((one) => one.subjectKeyId === crl.authorityKeyId);
  // Two certificates may carry one key, under the same name or another.
  const issuer = named.find((one) => isSame(one.subject, crl.issuer)) ?? named[0];
  if (issuer !== undefined) verifyCrl(crl, issuer);
  return issuer;
}

/** By key and name, as verifiers look for it; that it is proven was told before. */
export function isIssuedBy(crl: Crl, authority: Certificate): boolean {
  return crl.authorityKeyId === authority.subjectKeyId && isSame(crl.issuer, authority.subject);
}

/** By key and name: a second certificate of the same authority needs no second CRL, and Envoy must not get one. */
function distinct(authorities: readonly Certificate[]): readonly Certificate[] {
  const isSecond = (one: Certificate, at: number): boolean =>
    authorities
      .slice(0, at)
      .some(
        (other) => other.subjectKeyId === one.subjectKeyId && isSame(other.subject, one.subject),
      );
  return authorities.filter((one, at) => !isSecond(one, at));
}

const nothing: CrlCover = {
  crls: [],
  gap: undefined,
  ageing: [],
  ends: undefined,
  nextLook: Number.POSITIVE_INFINITY,
};

function gapOf(
  pair: { readonly authority: string; readonly crl: Crl | undefined },
  { now, stale }: Pick<CrlFacts, "now" | "stale">,
): CrlGap | undefined {
  const { authority, crl } = pair;
  if (crl === undefined) return { kind: "missing", authority };
  if (now < crl.thisUpdate) return { kind: "early", authority };
  if (stale === "strip" && now >= leavesAt(crl)) return { kind: "stale", authority };
  return undefined;
}

function momentsOf(crl: Crl): readonly number[] {
  return [crl.thisUpdate, ageingFrom(crl), leavesAt(crl), crl.nextUpdate];
}

function leavesAt(crl: Crl): number {
  return crl.nextUpdate - leaveEarlyMs;
}

function ageingFrom(crl: Crl): number {
  return crl.nextUpdate - (crl.nextUpdate - crl.thisUpdate) / 3;
}
