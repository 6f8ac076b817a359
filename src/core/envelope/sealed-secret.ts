import type { KeyObject } from "node:crypto";
import { CompactEncrypt, compactDecrypt } from "jose";
import { EnvelopeError } from "./error.ts";

/** Seals a secret to the asker's X25519 key, bound to one request by its digest (RFC 7518, section 4.6, `apv`). */
export async function sealSecret(
  secret: Uint8Array,
  to: KeyObject,
  requestDigest: string,
): Promise<string> {
  return await new CompactEncrypt(secret)
    .setProtectedHeader({ alg: "ECDH-ES", enc: "A256GCM" })
    .setKeyManagementParameters({ apv: Buffer.from(requestDigest, "hex") })
    .encrypt(to);
}

/** @throws EnvelopeError SEALED_SECRET when it was sealed to another key, for another request, or changed. */
export async function openSecret(
  jwe: string,
  key: KeyObject,
  requestDigest: string,
): Promise<Uint8Array> {
  try {
    const opened = await compactDecrypt(jwe, key, {
      keyManagementAlgorithms: ["ECDH-ES"],
      contentEncryptionAlgorithms: ["A256GCM"],
    });
    if (opened.protectedHeader["apv"] !== Buffer.from(requestDigest, "hex").toString("base64url")) {
      throw new RangeError("sealed for another request");
    }
    return opened.plaintext;
  } catch (cause) {
    throw new EnvelopeError(
      "SEALED_SECRET",
      "the secret in the reply does not open: it was not sealed for this request",
      { cause },
    );
  }
}
