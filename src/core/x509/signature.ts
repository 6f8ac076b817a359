import { type KeyObject, verify } from "node:crypto";
import type { Signed } from "./certificate.ts";
import { oid } from "./oid.ts";
import { importPublicKey } from "./public-key.ts";

interface Scheme {
  /** What asymmetricKeyType the key must have: else an RSA key could be asked to check an ECDSA signature. */
  readonly keyType: "ec" | "rsa" | "ed25519";
  readonly digest: string | null;
}

/** SHA-1 and MD5 are absent on purpose; RSA-PSS because no SPIFFE implementation known to us issues with it. */
const schemes: ReadonlyMap<string, Scheme> = new Map<string, Scheme>([
  [oid.ecdsaWithSha256, { keyType: "ec", digest: "sha256" }],
  [oid.ecdsaWithSha384, { keyType: "ec", digest: "sha384" }],
  [oid.ecdsaWithSha512, { keyType: "ec", digest: "sha512" }],
  [oid.sha256WithRsa, { keyType: "rsa", digest: "sha256" }],
  [oid.sha384WithRsa, { keyType: "rsa", digest: "sha384" }],
  [oid.sha512WithRsa, { keyType: "rsa", digest: "sha512" }],
  [oid.ed25519, { keyType: "ed25519", digest: null }],
]);

/** Below this RSA is refused, as NIST SP 800-131A and Envoy's BoringSSL defaults do. */
const leastRsaBits = 2048;

/** Whether a certificate or CRL was signed by the holder of this public key (SubjectPublicKeyInfo, DER). Never throws. */
export function isSignedBy(signed: Signed, spki: Uint8Array): boolean {
  const scheme = schemes.get(signed.signatureAlgorithm);
  if (scheme === undefined || signed.hasAlgorithmParameters) return false;
  try {
    const key = importPublicKey(spki);
    return fits(key, scheme) && verify(scheme.digest, signed.tbs, key, signed.signature);
  } catch {
    // An unreadable key or signature signs nothing; the caller says what it was on.
    return false;
  }
}

function fits(key: KeyObject, scheme: Scheme): boolean {
  const bits = key.asymmetricKeyDetails?.modulusLength;
  return key.asymmetricKeyType === scheme.keyType && (bits === undefined || bits >= leastRsaBits);
}
