import { createPublicKey, hash, type KeyObject } from "node:crypto";
import { readBitString, readSequence } from "./der-reader.ts";
import { tag } from "./der-tag.ts";
import { X509Error } from "./errors.ts";
import type { SignatureAlgorithm } from "./signer.ts";

/** A curve y² = x³ - 3x + b over the field of p (SEC 2, 2.4.2 and 2.5.1). */
interface Curve {
  readonly algorithm: SignatureAlgorithm;
  /** A SubjectPublicKeyInfo on it has one spelling: this head, then the point's x and y (RFC 5480 2, uncompressed). */
  readonly head: Uint8Array;
  readonly length: number;
  readonly p: bigint;
  readonly b: bigint;
}

const curves: readonly Curve[] = [
  {
    algorithm: "ecdsa-p256-sha256",
    head: Buffer.from("3059301306072a8648ce3d020106082a8648ce3d03010703420004", "hex"),
    length: 91,
    p: 2n ** 256n - 2n ** 224n + 2n ** 192n + 2n ** 96n - 1n,
    b: 0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604bn,
  },
  {
    algorithm: "ecdsa-p384-sha384",
    head: Buffer.from("3076301006072a8648ce3d020106052b8104002203620004", "hex"),
    length: 120,
    p: 2n ** 384n - 2n ** 128n - 2n ** 96n + 2n ** 32n - 1n,
    b: 0xb3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aefn,
  },
];

/**
 * Which of the two accepted curves a public key is on, told by comparing bytes; undefined for every other key.
 * Whether the point is on the curve is told by {@link isOnCurve}.
 */
export function ecAlgorithmOf(spki: Uint8Array): SignatureAlgorithm | undefined {
  return curveOf(spki)?.algorithm;
}

/**
 * Whether a public key is a point of one of the two accepted curves. Reckoned here, in a fiftieth of the time that an import by node:crypto takes, and
 * without what checked the request's signature before. The curves' cofactor is 1, so every point on them has the right order.
 */
export function isOnCurve(spki: Uint8Array): boolean {
  const curve = curveOf(spki);
  if (curve === undefined) return false;
  const { p, b, head } = curve;
  const digits = Buffer.from(spki.buffer, spki.byteOffset, spki.byteLength).toString(
    "hex",
    head.length,
  );
  const x = BigInt(`0x${digits.slice(0, digits.length / 2)}`);
  const y = BigInt(`0x${digits.slice(digits.length / 2)}`);
  return x < p && y < p && (y * y - ((x * x - 3n) * x + b)) % p === 0n;
}

function curveOf(spki: Uint8Array): Curve | undefined {
  return curves.find((curve) => spki.length === curve.length && startsWith(spki, curve.head));
}

function startsWith(bytes: Uint8Array, head: Uint8Array): boolean {
  for (let at = 0; at < head.length; at += 1) if (bytes[at] !== head[at]) return false;
  return true;
}

/** The SubjectPublicKeyInfo of an uncompressed point, 0x04 first. @throws {X509Error} X509_KEY when it is not as long as the curve's points */
export function ecSpki(algorithm: SignatureAlgorithm, point: Uint8Array): Uint8Array {
  const found = curves.find((one) => one.algorithm === algorithm);
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
  return Buffer.from(keyIdHexOf(spki), "hex");
}

/** The same in lower-case hex. */
export function keyIdHexOf(spki: Uint8Array): string {
  return hash("sha256", keyBits(spki), "hex").slice(0, 40);
}

function keyBits(spki: Uint8Array): Uint8Array {
  const curve = curveOf(spki);
  // The head ends with the 04 of an uncompressed point, which is the first of the key's bits.
  if (curve !== undefined) return spki.subarray(curve.head.length - 1);
  const reader = readSequence(spki);
  reader.sequence();
  const bits = readBitString(reader.content(tag.bitString));
  reader.end();
  return bits;
}
