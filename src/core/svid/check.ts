import { createPrivateKey, createPublicKey, X509Certificate } from "node:crypto";
import type { Bundle } from "../bundle/bundle.ts";
import { type Certificate, parseCertificate } from "../x509/certificate.ts";
import { importPublicKey } from "../x509/public-key.ts";
import { SvidError } from "./errors.ts";
import { isSame } from "./path.ts";
import { type VerifiedSvid, verifyX509Svid } from "./verify.ts";
import type { X509Svid } from "./workload-view.ts";

/** What of an SVID is checked. */
export type ServableSvid = Pick<X509Svid, "id" | "chain" | "privateKey" | "serial" | "expiresAt">;

/**
 * Everything that must hold before a certificate goes to an Envoy: once a bad secret is out, Envoy may stop listening
 * (SDS-05), and an expired one is acknowledged and served (EF-41).
 * @param bundle of the same generation as the SVID; undefined: none has come yet
 * @param now milliseconds since the epoch
 * @throws {SvidError} any SVID_ code
 */
export function checkServable(
  svid: ServableSvid,
  bundle: Bundle | undefined,
  now: number,
): VerifiedSvid {
  checkServableBundle(bundle);
  const bundles = new Map(bundle === undefined ? [] : [[bundle.trustDomain, bundle]]);
  const verified = verifyX509Svid(svid.chain, bundles, now);
  checkLabels(svid, verified);
  checkNoRoot(svid.chain);
  checkKey(svid.privateKey, verified.leaf);
  return verified;
}

// A field of values that are not ours, and goes with them: one bundle goes beside a thousand SVIDs, and what it holds does not change.
const servable = new WeakSet<Bundle>();

/**
 * Everything that must hold before a bundle goes to an Envoy as a validation context: with an empty one Envoy takes any
 * certificate (EF-26), with a broken one it refuses the update (EF-41).
 * @throws {SvidError} SVID_BUNDLE_MISSING, SVID_BUNDLE_EMPTY, SVID_BUNDLE_MALFORMED
 */
export function checkServableBundle(bundle: Bundle | undefined): void {
  if (bundle === undefined) {
    throw new SvidError("SVID_BUNDLE_MISSING", "bundle: has not come yet; wait for the first one");
  }
  if (servable.has(bundle)) return;
  if (bundle.x509Authorities.length === 0) {
    throw new SvidError(
      "SVID_BUNDLE_EMPTY",
      "bundle: holds no X.509 authority; withhold the secret, never send an empty one",
    );
  }
  for (const [index, der] of bundle.x509Authorities.entries()) {
    if (!isAuthority(der)) {
      throw new SvidError(
        "SVID_BUNDLE_MALFORMED",
        `bundle: authority ${index + 1} is no CA certificate; publish it anew`,
      );
    }
  }
  servable.add(bundle);
}

/** What the node says about an SVID decides when it is renewed and acknowledged, so it must be what the leaf says. */
function checkLabels(svid: ServableSvid, { id, leaf }: VerifiedSvid): void {
  if (svid.id !== id || svid.serial !== leaf.serial || svid.expiresAt !== leaf.notAfter) {
    throw new SvidError(
      "SVID_MISLABELLED",
      "SVID: its id, serial or expiresAt is not its leaf's; read them from the leaf",
    );
  }
}

/** WAPI-10: the chain never holds a root; peers would ignore it, and some clients take the last one for an intermediate. */
function checkNoRoot(chain: readonly Uint8Array[]): void {
  const hasRoot = chain.map(parseCertificate).some((one) => isSame(one.subject, one.issuer));
  if (hasRoot)
    throw new SvidError(
      "SVID_ROOT_IN_CHAIN",
      "chain: holds a self-issued certificate; leave the root out",
    );
}

function checkKey(privateKey: Uint8Array, leaf: Certificate): void {
  if (!publicHalf(privateKey).equals(importPublicKey(leaf.spki))) {
    throw new SvidError(
      "SVID_KEY_MISMATCH",
      "private key: is not the leaf's; Envoy would refuse it as KEY_VALUES_MISMATCH",
    );
  }
}

function publicHalf(privateKey: Uint8Array): ReturnType<typeof createPublicKey> {
  try {
    const key = createPrivateKey({ key: Buffer.from(privateKey), format: "der", type: "pkcs8" });
    return createPublicKey(key);
  } catch {
    // The cause stays out: an error that quotes key bytes must not reach a log.
    throw new SvidError(
      "SVID_KEY_MALFORMED",
      "private key: is no unencrypted PKCS#8; export it so",
    );
  }
}

/** To OpenSSL too, whose kin reads it in Envoy: the texts of names, which nobody reads here, may be none. */
function isAuthority(der: Uint8Array): boolean {
  try {
    return parseCertificate(der).isCa && new X509Certificate(der).ca;
  } catch {
    return false;
  }
}
