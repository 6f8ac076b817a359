import { DerReader } from "./der-reader.ts";
import { tag } from "./der-tag.ts";
import { sequence, unsignedInteger } from "./der-writer.ts";
import { X509Error } from "./errors.ts";

/** How tokens write what X.509 writes otherwise: raw signatures and wrapped points (PKCS#11 2.40, current mechanisms, 2.3). */

/** A DER `Ecdsa-Sig-Value` (RFC 3279 2.2.3) from r and s, joined, each as long as the curve's order. @throws {X509Error} X509_DER */
export function ecdsaSignature(raw: Uint8Array): Uint8Array {
  const half = raw.length / 2;
  if (half === 0 || !Number.isInteger(half))
    throw new X509Error(
      "X509_DER",
      "signature: is not r and s of one length; ask the token's maker",
    );
  return sequence(unsignedInteger(raw.subarray(0, half)), unsignedInteger(raw.subarray(half)));
}

/** The uncompressed point of a CKA_EC_POINT, which is one in an OCTET STRING; some tokens leave the wrapping out. @throws {X509Error} X509_DER */
export function ecPoint(value: Uint8Array): Uint8Array {
  // 0x04 is the tag of an OCTET STRING and the mark of an uncompressed point; only a bare point has an odd length of 2n + 1.
  const isBare = value.length === 65 || value.length === 97;
  if (isBare && value[0] === 0x04) return value;
  const reader = new DerReader(value);
  const { content } = reader.element(tag.octetString);
  reader.end();
  return content;
}
