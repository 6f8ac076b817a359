import { X509Certificate } from "node:crypto";
import { type TrustDomain, trustDomainId } from "../spiffe/spiffe-id.ts";
import type { Certificate } from "../x509/certificate.ts";
import { isSignedBy } from "../x509/signature.ts";
import { SvidError } from "./errors.ts";
import { type Below, checkLink, isSame, mayIssue } from "./path.ts";

/** An authority that is about to sign SVIDs, and what stands above it. */
export interface AuthorityFacts {
  readonly certificate: Certificate;
  /** Intermediates in any order, believed in nothing; what does not belong to the path is left aside. */
  readonly above: readonly Certificate[];
  /** What verifiers will trust. */
  readonly anchors: readonly Certificate[];
  readonly trustDomain: TrustDomain;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** A way up to an anchor along which SVIDs of the trust domain verify. */
export interface AuthorityPath {
  /** The authority first, the anchor last; one and the same for a root. */
  readonly path: readonly Certificate[];
  /** The earliest of the path: the authority's own, or that of one above. Milliseconds since the epoch. */
  readonly notAfter: number;
}

/** Files may hold more than the path needs; more than this would only be work for path building. */
const mostAbove = 16;

/** Authority, intermediates, anchor: with the leaf in place of the anchor, as long as a chain that verifiers take (verify.ts). */
const longestPath = 8;

/**
 * Checks an authority before it is used as every verifier will check it on each of its SVIDs, so that nothing is signed that
 * nobody accepts. The refusal names the certificate at fault and its place.
 * @throws {SvidError} SVID_AUTHORITY_DATES, _PROFILE, _ID, SVID_PATH_LENGTH, SVID_NAME_CONSTRAINT, SVID_CRITICAL_EXTENSION, SVID_SIGNATURE, SVID_UNTRUSTED
 */
export function authorityPath(facts: AuthorityFacts): AuthorityPath {
  if (facts.above.length > mostAbove)
    throw new SvidError(
      "SVID_CHAIN_LENGTH",
      `chain: has ${facts.above.length} certificates above the authority, not up to ${mostAbove}; leave out those that it does not need`,
    );
  const search = new Search(facts);
  const path = search.climb([facts.certificate]);
  if (path === undefined) throw search.failure();
  return { path, notAfter: Math.min(...path.map(({ notAfter }) => notAfter)) };
}

/** Do the path lengths along it leave room for one more authority below the first? */
export function hasRoomBelow(path: readonly Certificate[]): boolean {
  return path.every(({ pathLength }, at) => {
    const between = path.slice(0, at).filter((one) => !isSame(one.subject, one.issuer)).length;
    return pathLength === undefined || between + 1 <= pathLength;
  });
}

class Search {
  readonly #facts: AuthorityFacts;
  /** Stands for every SVID that will be signed. */
  readonly #probe: Below;
  #failure: SvidError | undefined;

  constructor(facts: AuthorityFacts) {
    this.#facts = facts;
    this.#probe = probeOf(facts.trustDomain);
  }

  failure(): SvidError {
    const [top] = this.#facts.anchors;
    return (
      this.#failure ??
      new SvidError(
        "SVID_UNTRUSTED",
        `chain: ${nameOf(this.#facts.certificate)} does not lead to ${top === undefined ? "any root, for none is given" : nameOf(top)}; add the missing intermediate, or the root that it belongs to`,
      )
    );
  }

  climb(path: readonly Certificate[]): readonly Certificate[] | undefined {
    const top = path.at(-1);
    if (top === undefined) return undefined;
    const { anchors, above } = this.#facts;
    if (anchors.some((anchor) => isSame(anchor.der, top.der)))
      return this.#holds(path.slice(0, -1), top) ? path : undefined;
    for (const [index, authority] of [...anchors, ...above].entries()) {
      if (path.length >= longestPath) return undefined;
      const isNew = !path.some((one) => isSame(one.spki, authority.spki));
      if (!isNew || !mayIssue(authority, top) || !this.#isSigned(top, authority)) continue;
      if (!this.#holds(path, authority)) continue;
      const found =
        index < anchors.length ? [...path, authority] : this.climb([...path, authority]);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  #holds(path: readonly Certificate[], authority: Certificate): boolean {
    // An authority's own place is judged when something stands above it: then it is part of the path that is.
    const below = checkPlaces(path, this.#probe, this.#facts.now);
    const failure = below ?? place(authority, [this.#probe, ...path], this.#facts.now);
    this.#failure ??= failure;
    return failure === undefined;
  }

  #isSigned(child: Certificate, authority: Certificate): boolean {
    if (isSignedBy(child, authority.spki)) return true;
    this.#failure ??= new SvidError(
      "SVID_SIGNATURE",
      `chain: ${nameOf(child)} names ${nameOf(authority)} and is not signed by it; put the certificate there that is`,
    );
    return false;
  }
}

function checkPlaces(
  path: readonly Certificate[],
  probe: Below,
  now: number,
): SvidError | undefined {
  for (const [at, one] of path.entries()) {
    const failure = place(one, [probe, ...path.slice(0, at)], now);
    if (failure !== undefined) return failure;
  }
  return undefined;
}

function place(
  authority: Certificate,
  below: readonly Below[],
  now: number,
): SvidError | undefined {
  const failure = checkLink(below, authority, now);
  return failure && new SvidError(failure.code, `${nameOf(authority)}: ${failure.message}`);
}

/** An SVID's names as constraints see them: a SPIFFE ID of the domain, no subject. */
function probeOf(trustDomain: TrustDomain): Below {
  const uris = [`${trustDomainId(trustDomain)}/probe`];
  return {
    names: { uris, dnsNames: [], emails: [], ipAddresses: [], others: 0 },
    isSubjectEmpty: true,
    subject: new Uint8Array(),
    issuer: Uint8Array.of(0),
  };
}

/** A certificate as operators know it. */
function nameOf({ der, serial }: Certificate): string {
  try {
    return `"${new X509Certificate(der).subject.replaceAll("\n", ", ")}"`;
  } catch {
    // Text that node:crypto does not print; the serial is in every tool's output too.
    return `the certificate with serial ${serial}`;
  }
}
