import { createPublicKey, type KeyObject, sign } from "node:crypto";
import { tag } from "./der-tag.ts";
import { element, objectIdentifier, sequence } from "./der-writer.ts";
import { X509Error } from "./errors.ts";
import { oid } from "./oid.ts";
import { algorithmIdentifier } from "./signature-algorithm.ts";
import type { Signer } from "./signer.ts";

/** Signs certificates of authorities: an authority's own key, or an operator's of any usual kind. */
export interface CertificateSigner {
  /** The AlgorithmIdentifier that goes with its signatures, DER. */
  readonly identifier: Uint8Array;
  /** The public key, SubjectPublicKeyInfo in DER. */
  readonly spki: Uint8Array;
  sign(toBeSigned: Uint8Array): Promise<Uint8Array>;
}

/** By a key of the key store. */
export function signerOfAuthority(signer: Signer): CertificateSigner {
  const { spki, algorithm } = signer;
  return {
    identifier: algorithmIdentifier(algorithm),
    spki,
    sign: (toBeSigned) => signer.sign(toBeSigned),
  };
}

/**
 * By an operator's key: P-256, P-384 and P-521, RSA of 2048 bits and more, Ed25519.
 * @throws {X509Error} X509_KEY for every other key
 */
export function signerOfKey(privateKey: KeyObject): CertificateSigner {
  const { digest, identifier } = schemeOf(privateKey);
  return {
    identifier,
    spki: new Uint8Array(createPublicKey(privateKey).export({ type: "spki", format: "der" })),
    sign: (toBeSigned) =>
      new Promise((resolve, reject) => {
        sign(digest, toBeSigned, privateKey, (error, signature) => {
          if (error === null) resolve(signature);
          else reject(new X509Error("X509_KEY", "signing key: refused to sign", { cause: error }));
        });
      }),
  };
}

/** By curve, as OpenSSL names it: a digest as strong as the curve. */
const ecSchemes: ReadonlyMap<string, { readonly digest: string; readonly oid: string }> = new Map([
  ["prime256v1", { digest: "sha256", oid: oid.ecdsaWithSha256 }],
  ["secp384r1", { digest: "sha384", oid: oid.ecdsaWithSha384 }],
  ["secp521r1", { digest: "sha512", oid: oid.ecdsaWithSha512 }],
]);

function schemeOf(key: KeyObject): {
  readonly digest: string | null;
  readonly identifier: Uint8Array;
} {
  const { namedCurve = "", modulusLength = 0 } = key.asymmetricKeyDetails ?? {};
  const ec = ecSchemes.get(namedCurve);
  if (key.asymmetricKeyType === "ec" && ec !== undefined)
    return { digest: ec.digest, identifier: sequence(objectIdentifier(ec.oid)) };
  if (key.asymmetricKeyType === "ed25519")
    return { digest: null, identifier: sequence(objectIdentifier(oid.ed25519)) };
  // RFC 4055 5: RSA's identifier has NULL parameters.
  if (key.asymmetricKeyType === "rsa" && modulusLength >= 2048)
    return {
      digest: "sha256",
      identifier: sequence(objectIdentifier(oid.sha256WithRsa), element(tag.null)),
    };
  throw new X509Error(
    "X509_KEY",
    `signing key: is ${key.asymmetricKeyType ?? "no private key"}, of a kind or size that verifiers refuse; use P-256, P-384, P-521, Ed25519 or RSA of 2048 bits`,
  );
}
