import { createPublicKey, type KeyObject, sign } from "node:crypto";
import type { EnvelopeSigner } from "./envelope.ts";
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

function localSigner(
  privateKey: KeyObject,
  alg: Alg,
  accompanied: EnvelopeSigner["accompanied"],
): EnvelopeSigner {
  const hash = alg === "EdDSA" ? null : "sha256";
  return {
    keyId: keyIdOf(spkiOf(privateKey)),
    alg,
    accompanied,
    sign: (bytes) =>
      Promise.resolve(sign(hash, bytes, { key: privateKey, dsaEncoding: "ieee-p1363" })),
  };
}
