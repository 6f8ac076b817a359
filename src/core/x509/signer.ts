import { createPublicKey, type KeyObject, sign } from "node:crypto";
import { X509Error } from "./errors.ts";

/** The signature algorithms that Herald's authorities and requests use. */
export type SignatureAlgorithm = "ecdsa-p256-sha256" | "ecdsa-p384-sha384";

/**
 * A private key that signs and is never seen. Behind it may stand this process's memory, a worker, or a PKCS#11 token;
 * `sign` answers with a DER `Ecdsa-Sig-Value` (RFC 3279 2.2.3), and may be called many times at once.
 */
export interface Signer {
  readonly algorithm: SignatureAlgorithm;
  /** The public key, SubjectPublicKeyInfo in DER. */
  readonly spki: Uint8Array;
  /** Hashes and signs. Rejects when the key is gone; never answers with a signature by another key. */
  sign(toBeSigned: Uint8Array): Promise<Uint8Array>;
}

/**
 * A signer by a key in memory.
 * @throws {X509Error} X509_KEY when the key is not P-256 or P-384
 */
export function keyObjectSigner(privateKey: KeyObject): Signer {
  const algorithm = algorithmOf(privateKey);
  const digest = algorithm === "ecdsa-p256-sha256" ? "sha256" : "sha384";
  const spki = new Uint8Array(createPublicKey(privateKey).export({ type: "spki", format: "der" }));
  return {
    algorithm,
    spki,
    // On this thread: a P-256 signature takes 35 µs, and handing it to Node's thread pool and back costs the event loop a good part of that.
    sign: (toBeSigned) => {
      try {
        return Promise.resolve(sign(digest, toBeSigned, privateKey));
      } catch (cause) {
        return Promise.reject(new X509Error("X509_KEY", "signing key: refused to sign", { cause }));
      }
    },
  };
}

function algorithmOf(privateKey: KeyObject): SignatureAlgorithm {
  const curve =
    privateKey.type === "private" ? privateKey.asymmetricKeyDetails?.namedCurve : undefined;
  if (curve === "prime256v1") return "ecdsa-p256-sha256";
  if (curve === "secp384r1") return "ecdsa-p384-sha384";
  throw new X509Error("X509_KEY", "signing key: is not a private key on P-256 or P-384; make one");
}
