import type { Bundle } from "../bundle/bundle.ts";
import {
  parseSpiffeId,
  pathOf,
  type SpiffeId,
  type TrustDomain,
  trustDomainOf,
} from "../spiffe/spiffe-id.ts";
import { type Certificate, parseCertificate } from "../x509/certificate.ts";
import { oid } from "../x509/oid.ts";
import { SvidError, type SvidErrorCode } from "./errors.ts";
import { endOf, findPath } from "./path.ts";

/** What is known about a peer once its chain has been verified. */
export interface VerifiedSvid {
  readonly id: SpiffeId;
  readonly leaf: Certificate;
  /** The authority that signed the leaf: what acknowledgements count SVIDs by. */
  readonly authority: Certificate;
  /** The authority of the bundle that the chain ends in; the same one when no intermediate stands between. */
  readonly anchor: Certificate;
}

/** Leaf included; real chains have one to four. More would only be work for path building. */
const longestChain = 8;

/**
 * Verifies an X.509-SVID by X509-SVID section 5: the leaf's profile, then a path to the bundle of the leaf's own trust
 * domain and to no other (XSVID-18, BDL-20).
 * @param chain DER, leaf first; what follows may come in any order
 * @param bundles by trust domain
 * @param now milliseconds since the epoch
 * @throws {SvidError} any SVID_ code
 */
export function verifyX509Svid(
  chain: readonly Uint8Array[],
  bundles: ReadonlyMap<TrustDomain, Bundle>,
  now: number,
): VerifiedSvid {
  const [leaf, ...intermediates] = parseChain(chain);
  if (leaf === undefined) throw refusal("SVID_CHAIN_LENGTH", "is empty; send the leaf first");
  const id = idOf(leaf);
  checkLeaf(leaf);
  checkDates(leaf, now);
  const anchors = anchorsOf(bundles.get(trustDomainOf(id)));
  const path = findPath({ leaf, intermediates, anchors, now });
  return { id, leaf, authority: path[1] ?? leaf, anchor: path.at(-1) ?? leaf };
}

function parseChain(chain: readonly Uint8Array[]): readonly Certificate[] {
  if (chain.length === 0 || chain.length > longestChain) {
    throw refusal(
      "SVID_CHAIN_LENGTH",
      `has ${chain.length} certificates, not 1 to ${longestChain}; send leaf and intermediates`,
    );
  }
  try {
    return chain.map(parseCertificate);
  } catch (error) {
    throw new SvidError(
      "SVID_MALFORMED",
      "chain: holds something that is no certificate in strict DER; issue it anew",
      {
        cause: error,
      },
    );
  }
}

/** Exactly one URI name, whatever its scheme, and that a SPIFFE ID with a path (XSVID-02, XSVID-04, XSVID-19). */
function idOf(leaf: Certificate): SpiffeId {
  const [uri, ...more] = leaf.uris;
  if (uri === undefined || more.length > 0) {
    throw refusal(
      "SVID_URI_COUNT",
      `leaf has ${leaf.uris.length} URI names; an SVID has exactly one`,
    );
  }
  const id = parseId(uri);
  if (pathOf(id) === "") {
    throw refusal(
      "SVID_NO_PATH",
      "leaf carries the trust domain's own ID; a workload's has a path",
    );
  }
  return id;
}

function parseId(uri: string): SpiffeId {
  try {
    return parseSpiffeId(uri);
  } catch (error) {
    throw new SvidError(
      "SVID_ID",
      "chain: the leaf's URI name is no SPIFFE ID; issue it with one",
      { cause: error },
    );
  }
}

/** XSVID-06, -10, -16, -25, and of -17 what concerns the leaf alone. */
function checkLeaf(leaf: Certificate): void {
  if (leaf.isCa) {
    throw refusal(
      "SVID_IS_AUTHORITY",
      "leaf is an authority; authorities never authenticate anybody",
    );
  }
  const usage = leaf.keyUsage?.bits;
  if (usage?.has("keyCertSign") === true || usage?.has("cRLSign") === true) {
    throw refusal(
      "SVID_KEY_USAGE",
      "leaf may sign certificates or CRLs; issue it with digitalSignature only",
    );
  }
  const purposes = leaf.extendedKeyUsages;
  if (
    purposes !== undefined &&
    !(purposes.includes(oid.serverAuth) && purposes.includes(oid.clientAuth))
  ) {
    throw refusal(
      "SVID_EXTENDED_KEY_USAGE",
      "leaf lacks serverAuth or clientAuth; issue it with both or with none",
    );
  }
  if (leaf.unknownCriticalExtensions.length > 0) {
    throw refusal(
      "SVID_CRITICAL_EXTENSION",
      `leaf has the unknown critical extension ${leaf.unknownCriticalExtensions.join(", ")}; issue it without`,
    );
  }
}

function checkDates(leaf: Certificate, now: number): void {
  if (now < leaf.notBefore) {
    throw refusal("SVID_NOT_YET_VALID", "leaf is not valid yet; set the clock");
  }
  if (now >= endOf(leaf)) throw refusal("SVID_EXPIRED", "leaf has expired; fetch a new one");
}

function anchorsOf(bundle: Bundle | undefined): readonly Certificate[] {
  if (bundle === undefined) {
    throw refusal(
      "SVID_BUNDLE_MISSING",
      "belongs to a trust domain without a bundle here; federate with it",
    );
  }
  if (bundle.x509Authorities.length === 0) {
    throw refusal(
      "SVID_BUNDLE_EMPTY",
      "belongs to a trust domain that trusts nothing now (BDL-09); publish an authority",
    );
  }
  // One unreadable authority must not hide the readable ones; the guard before Envoy is stricter (check.ts).
  return bundle.x509Authorities.flatMap((der) => {
    try {
      return [parseCertificate(der)];
    } catch {
      return [];
    }
  });
}

function refusal(code: SvidErrorCode, what: string): SvidError {
  return new SvidError(code, `chain: ${what}`);
}
