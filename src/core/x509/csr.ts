import { verify } from "node:crypto";
import { type DerReader, readBitString, readSequence, readSmallInteger } from "./der-reader.ts";
import { contextTag, tag } from "./der-tag.ts";
import { bitString, element, sequence, unsignedInteger } from "./der-writer.ts";
import { X509Error } from "./errors.ts";
import type { KeyPair } from "./key-pair.ts";
import { ecAlgorithmOf } from "./public-key.ts";
import { algorithmIdentifier } from "./signature-algorithm.ts";
import { keyObjectSigner, type SignatureAlgorithm } from "./signer.ts";

/** Herald's own requests have about 200 bytes; this leaves room for other makers' attributes and no more. */
const longestCsr = 4096;

/** A PKCS#10 request (RFC 2986) for the pair's public key, with an empty subject and no attribute: the entry has the names. */
export async function createCsr(keyPair: KeyPair): Promise<Uint8Array> {
  const signer = keyObjectSigner(keyPair.privateKey);
  const version = unsignedInteger(Uint8Array.of(0));
  const information = sequence(version, sequence(), signer.spki, element(contextTag(0)));
  const signature = await signer.sign(information);
  return sequence(information, algorithmIdentifier(signer.algorithm), bitString(signature));
}

/**
 * Takes the public key out of a request, and nothing else (design.md, invariant 1), after its signature has proved that
 * the asker holds the private half.
 * @throws {X509Error} X509_CSR_TOO_LARGE, X509_DER, X509_CSR, X509_KEY, X509_CSR_PROOF
 */
export function readCsr(der: Uint8Array): { readonly spki: Uint8Array } {
  if (der.length > longestCsr) {
    throw new X509Error(
      "X509_CSR_TOO_LARGE",
      `CSR: has more than ${longestCsr} bytes; leave out its attributes`,
    );
  }
  const reader = readSequence(der);
  const information = reader.element(tag.sequence).encoded;
  const algorithm = reader.element(tag.sequence).encoded;
  const signature = readBitString(reader.content(tag.bitString));
  reader.end();
  const spki = readInformation(readSequence(information));
  const curve = ecAlgorithmOf(spki);
  if (curve === undefined) {
    throw new X509Error(
      "X509_KEY",
      "CSR: its public key is not on P-256 or P-384, uncompressed; make such a key",
    );
  }
  if (Buffer.compare(algorithm, algorithmIdentifier(curve)) !== 0) {
    throw new X509Error(
      "X509_CSR",
      `CSR: is not signed with ${curve}, which its key calls for; sign it so`,
    );
  }
  proveHeld({ information, spki, signature, curve });
  return { spki };
}

function readInformation(reader: DerReader): Uint8Array {
  if (readSmallInteger(reader.content(tag.integer)) !== 0) {
    throw new X509Error("X509_CSR", "CSR: is not of version 1 (RFC 2986 4.1); make it so");
  }
  reader.sequence();
  const spki = reader.element(tag.sequence).encoded;
  reader.element(contextTag(0));
  reader.end();
  return spki;
}

function proveHeld(request: {
  readonly information: Uint8Array;
  readonly spki: Uint8Array;
  readonly signature: Uint8Array;
  readonly curve: SignatureAlgorithm;
}): void {
  if (!isSignedByOwnKey(request)) {
    throw new X509Error(
      "X509_CSR_PROOF",
      "CSR: its signature is not by its own key; sign it with the private half",
    );
  }
}

function isSignedByOwnKey(request: Parameters<typeof proveHeld>[0]): boolean {
  const { information, spki, signature, curve } = request;
  const digest = curve === "ecdsa-p256-sha256" ? "sha256" : "sha384";
  try {
    // The key as bytes: a KeyObject of its own would cost more than it is used for.
    const key = {
      key: Buffer.from(spki.buffer, spki.byteOffset, spki.byteLength),
      format: "der",
      type: "spki",
    } as const;
    return verify(digest, information, key, signature);
  } catch (cause) {
    throw new X509Error("X509_KEY", "CSR: its public key cannot be read; send an unbroken one", {
      cause,
    });
  }
}
