import { objectIdentifier } from "./der-writer.ts";
import type { SignatureAlgorithm } from "./signer.ts";

/** What an authority's key may be. */
export type KeyType = "ec-p256" | "ec-p384";

/** The curve as node:crypto names it. */
export const curveOf: Readonly<Record<KeyType, string>> = {
  "ec-p256": "P-256",
  "ec-p384": "P-384",
};

/** What such a key signs with. */
export const algorithmOfKey: Readonly<Record<KeyType, SignatureAlgorithm>> = {
  "ec-p256": "ecdsa-p256-sha256",
  "ec-p384": "ecdsa-p384-sha384",
};

/** The curve as `ECParameters` (RFC 5480 2.1.1), DER. */
export const curveParameters: Readonly<Record<KeyType, Uint8Array>> = {
  "ec-p256": objectIdentifier("1.2.840.10045.3.1.7"),
  "ec-p384": objectIdentifier("1.3.132.0.34"),
};
