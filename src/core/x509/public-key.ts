import { createHash, createPublicKey, type KeyObject } from "node:crypto";
import { readBitString, readSequence } from "./der-reader.ts";
import { tag } from "./der-tag.ts";
import { X509Error } from "./errors.ts";
import type { SignatureAlgorithm } from "./signer.ts";

/** A SubjectPublicKeyInfo on P-256 or P-384 has one spelling: this head, then the point, uncompressed (RFC 5480 2). */
const heads: readonly {
  readonly algorithm: SignatureAlgorithm;
  readonly head: Buffer;
  readonly length: number;
}[] = [
  {
    algorithm: "ecdsa-p256-sha256",
    head: Buffer.from("3059301306072a8648ce3d020106082a8648ce3d03010703420004", "hex"),
    length: 91,
  },
  {
    algorithm: "ecdsa-p384-sha384",
    head: Buffer.from("3076301006072a8648ce3d020106052b8104002203620004", "hex"),
    length: 120,
  },
];

/**
 * Which of the two accepted curves a public key is on, told by comparing bytes; undefined for every other key.
 * Whether the point is on the curve is told by {@link importPublicKey}.
 */
export function ecAlgorithmOf(spki: Uint8Array): SignatureAlgorithm | undefined {
  const found = heads.find(
    ({ head, length }) => spki.length === length && head.equals(spki.subarray(0, head.length)),
  );
  return found?.algorithm;
}

/** The SubjectPublicKeyInfo of an uncompressed point, 0x04 first. @throws {X509Error} X509_KEY when it is not as long as the curve's points */
export function ecSpki(algorithm: SignatureAlgorithm, point: Uint8Array): Uint8Array {
  const found = heads.find((one) => one.algorithm === algorithm);
  const spki = Buffer.concat([found?.head ?? Buffer.alloc(0), point.subarray(1)]);
  if (spki.length !== found?.length || point[0] !== 0x04)
    throw new X509Error("X509_KEY", `public key: is no uncompressed point for ${algorithm}`);
  return new Uint8Array(spki);
}

/**
 * The key for verifying by node:crypto, which refuses points that are not on the curve.
 * @throws {X509Error} X509_KEY
 */
export function importPublicKey(spki: Uint8Array): KeyObject {
  try {
    return createPublicKey({ key: Buffer.from(spki), format: "der", type: "spki" });
  } catch (error) {
    throw new X509Error("X509_KEY", "public key: cannot be read; send an unbroken one", {
      cause: error,
    });
  }
}

/**
 * The key identifier that Herald writes: the first 160 bits of SHA-256 over the key's bits (RFC 7093 2, method 1), for
 * SHA-1, the older way, is refused by policy in more and more places.
 */
export function keyIdOf(spki: Uint8Array): Uint8Array {
  const reader = readSequence(spki);
  reader.sequence();
  const bits = readBitString(reader.element(tag.bitString).content);
  reader.end();
  return new Uint8Array(createHash("sha256").update(bits).digest().subarray(0, 20));
}
