import { createPublicKey, type KeyObject, sign } from "node:crypto";
import { algOfKey, type EnvelopeSigner, signingScheme } from "./envelope.ts";
import { EnvelopeError } from "./error.ts";
import type { Alg } from "./kinds.ts";
import { keyIdOf } from "./pae.ts";

/** SubjectPublicKeyInfo of a key pair's public half. */
export function spkiOf(privateKey: KeyObject): Buffer {
  return createPublicKey(privateKey).export({ format: "der", type: "spki" });
}

/** The control root's signer: Ed25519, its public key beside each signature, to be held against the pin. */
export function rootSigner(privateKey: KeyObject): EnvelopeSigner {
  return localSigner(privateKey, "EdDSA", { publicKey: spkiOf(privateKey).toString("base64") });
}

/** A control key's signer; `certificate` is the `control` envelope that the root signed for it. */
export function controlSigner(privateKey: KeyObject, certificate: Uint8Array): EnvelopeSigner {
  return localSigner(privateKey, "EdDSA", {
    certificate: Buffer.from(certificate).toString("base64"),
  });
}

/** A join token's signer: Ed25519. */
export function tokenSigner(privateKey: KeyObject): EnvelopeSigner {
  return localSigner(privateKey, "EdDSA", {});
}

/** A node's signer: P-256 with SHA-256, `r || s`. */
export function nodeSigner(privateKey: KeyObject): EnvelopeSigner {
  return localSigner(privateKey, "ES256", {});
}

/**
 * The signer of a certificate of the operator's CA: proves possession of its key. `chain` is DER, leaf first.
 *
 * @throws EnvelopeError ENVELOPE_SIGNER for a key that is neither P-256, P-384 nor RSA of 2048 bits
 */
export function certificateSigner(
  privateKey: KeyObject,
  chain: readonly Uint8Array[],
): EnvelopeSigner {
  const alg = algOfKey(createPublicKey(privateKey));
  if (alg === undefined || alg === "EdDSA")
    throw new EnvelopeError(
      "ENVELOPE_SIGNER",
      "the certificate's key is neither ECDSA on P-256 or P-384 nor RSA of at least 2048 bits; issue it with one of them",
    );
  return localSigner(privateKey, alg, {
    chain: chain.map((der) => Buffer.from(der).toString("base64")),
  });
}

function localSigner(
  privateKey: KeyObject,
  alg: Alg,
  accompanied: EnvelopeSigner["accompanied"],
): EnvelopeSigner {
  const { hash, ...how } = signingScheme(alg);
  return {
    keyId: keyIdOf(spkiOf(privateKey)),
    alg,
    accompanied,
    sign: (bytes) => Promise.resolve(sign(hash, bytes, { key: privateKey, ...how })),
  };
}
