import { parseSpiffeId, pathOf } from "../spiffe/spiffe-id.ts";
import type { Certificate, ToBeSigned } from "../x509/certificate.ts";
import { isSignedBy } from "../x509/signature.ts";
import { SvidError, type SvidErrorCode } from "./errors.ts";
import { staysWithin } from "./name-constraints.ts";

/** What path building works with. */
export interface PathInput {
  readonly leaf: Certificate;
  /** What the peer sent after the leaf, in any order, believed in nothing. */
  readonly intermediates: readonly Certificate[];
  /** The authorities of the leaf's own trust domain (XSVID-18). */
  readonly anchors: readonly Certificate[];
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** A peer that sends many look-alike CAs could make path building try every order; this ends it. */
const mostSignatureChecks = 64;

/**
 * Finds a path from the leaf to an anchor that holds by RFC 5280 6.1, and gives it, leaf first, anchor last. The leaf's
 * own profile is the caller's matter.
 * @throws {SvidError} why the most promising path failed: SVID_UNTRUSTED when there was none at all
 */
export function findPath(input: PathInput): readonly Certificate[] {
  const search = new PathSearch(input);
  const path = search.extend([input.leaf]);
  if (path === undefined) throw search.failure();
  return path;
}

class PathSearch {
  readonly #input: PathInput;
  #checksLeft = mostSignatureChecks;
  #failure: SvidError | undefined;

  constructor(input: PathInput) {
    this.#input = input;
  }

  failure(): SvidError {
    return (
      this.#failure ??
      new SvidError(
        "SVID_UNTRUSTED",
        "chain: no authority of the trust domain's bundle issued it; refresh the bundle or the SVID",
      )
    );
  }

  /** Anchors come before intermediates, so that a chain ends as soon as it can. */
  extend(path: readonly Certificate[]): readonly Certificate[] | undefined {
    const child = path.at(-1);
    if (child === undefined) return undefined;
    for (const anchor of this.#input.anchors) {
      if (mayIssue(anchor, child) && this.#holds(path, anchor)) return [...path, anchor];
    }
    for (const intermediate of this.#input.intermediates) {
      // The same key twice can only be a loop.
      const isNew = !path.some((one) => isSame(one.spki, intermediate.spki));
      if (!isNew || !mayIssue(intermediate, child) || !this.#holds(path, intermediate)) continue;
      const found = this.extend([...path, intermediate]);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** Checks one more link. The first refusal is kept: anchors are tried first, so it is the one people look for. */
  #holds(path: readonly Certificate[], authority: Certificate): boolean {
    const failure =
      checkLink(path, authority, this.#input.now) ?? this.#checkSignature(path, authority);
    this.#failure ??= failure;
    return failure === undefined;
  }

  #checkSignature(path: readonly Certificate[], authority: Certificate): SvidError | undefined {
    this.#checksLeft -= 1;
    const child = path.at(-1);
    const isGood =
      this.#checksLeft >= 0 && child !== undefined && isSignedBy(child, authority.spki);
    return isGood
      ? undefined
      : new SvidError(
          "SVID_SIGNATURE",
          "chain: a signature is not by the authority that it names; ask for a new SVID",
        );
  }
}

/** By name, and by key identifier where both sides have one; the signature then tells. */
export function mayIssue(authority: Certificate, child: Certificate): boolean {
  const { authorityKeyId } = child;
  const { subjectKeyId } = authority;
  const fits =
    authorityKeyId === undefined || subjectKeyId === undefined || authorityKeyId === subjectKeyId;
  return fits && isSame(authority.subject, child.issuer);
}

/** What of a certificate below matters to an authority above it. */
export type Below = Pick<ToBeSigned, "names" | "isSubjectEmpty" | "subject" | "issuer">;

/** Everything about an authority in its place but its signature on the child: dates, profile, length, names. The path has the leaf first. */
export function checkLink(
  path: readonly Below[],
  authority: Certificate,
  now: number,
): SvidError | undefined {
  if (now < authority.notBefore || now >= endOf(authority)) {
    return refusal("SVID_AUTHORITY_DATES", "is expired or not yet valid; rotate the authority");
  }
  if (authority.unknownCriticalExtensions.length > 0) {
    return refusal(
      "SVID_CRITICAL_EXTENSION",
      "has a critical extension that is not known here; issue it without",
    );
  }
  // XSVID-17; a CA without keyUsage may sign by RFC 5280 4.2.1.3, and other domains' roots do come without.
  if (!authority.isCa || authority.keyUsage?.bits.has("keyCertSign") === false) {
    return refusal(
      "SVID_AUTHORITY_PROFILE",
      "may not sign certificates: cA or keyCertSign is missing; use a CA",
    );
  }
  if (hasForeignPath(authority)) {
    return refusal(
      "SVID_AUTHORITY_ID",
      "carries a SPIFFE ID with a path; only leaves have one (X509-SVID 3.2)",
    );
  }
  // The intermediates between this authority and the leaf; self-issued ones do not count (RFC 5280 4.2.1.9).
  const below = path.slice(1).filter((one) => !isSame(one.subject, one.issuer)).length;
  if (authority.pathLength !== undefined && below > authority.pathLength) {
    return refusal("SVID_PATH_LENGTH", "allows fewer authorities below it; shorten the chain");
  }
  // RFC 5280 6.1.4: constraints bind everything below but self-issued intermediates.
  const bound = path.filter((one, index) => index === 0 || !isSame(one.subject, one.issuer));
  return bound.every((one) => staysWithin(one, authority))
    ? undefined
    : refusal(
        "SVID_NAME_CONSTRAINT",
        "does not allow a name below it; issue from another authority",
      );
}

/** notAfter is the last second in which a certificate is valid, whole (RFC 5280 4.1.2.5). */
export function endOf(certificate: Certificate): number {
  return certificate.notAfter + 1000;
}

/** XSVID-15; a URI that is no SPIFFE ID, as `spiffe://td/` in the bundle specification's own example, is passed over (AMB-2). */
function hasForeignPath(authority: Certificate): boolean {
  return authority.uris.some((uri) => {
    try {
      return pathOf(parseSpiffeId(uri)) !== "";
    } catch {
      return false;
    }
  });
}

/** Whether two byte strings are equal. */
export function isSame(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.from(one.buffer, one.byteOffset, one.length).equals(other);
}

function refusal(code: SvidErrorCode, what: string): SvidError {
  return new SvidError(code, `authority: ${what}`);
}
