import { generateKeyPair, type KeyObject } from "node:crypto";
import { X509Error } from "./errors.ts";

/** A private key with its public half. */
export interface KeyPair {
  readonly privateKey: KeyObject;
  /** The public key, SubjectPublicKeyInfo in DER. */
  readonly spki: Uint8Array;
}

/** Makes keys. A port, so that the simulation can hand out prepared ones. */
export interface KeyMaker {
  /** A new P-256 key, never given out before. */
  p256(): Promise<KeyPair>;
}

/** Keys by Node's own generator, on its thread pool. */
export const nodeKeyMaker: KeyMaker = {
  p256: () =>
    new Promise((resolve, reject) => {
      generateKeyPair("ec", { namedCurve: "P-256" }, (error, publicKey, privateKey) => {
        if (error === null) {
          const spki = new Uint8Array(publicKey.export({ type: "spki", format: "der" }));
          resolve({ privateKey, spki });
        } else {
          reject(new X509Error("X509_KEY", "key pair: could not be made", { cause: error }));
        }
      });
    }),
};

/** The private key as PKCS#8 DER, unencrypted, as Envoy and the Workload API take it. Never log it. */
export function exportPrivateKey(privateKey: KeyObject): Uint8Array {
  return new Uint8Array(privateKey.export({ type: "pkcs8", format: "der" }));
}
