import { type TrustDomain, trustDomainId } from "../spiffe/spiffe-id.ts";
import { contextTag, tag } from "./der-tag.ts";
import { bitString, element, objectIdentifier, sequence, time, utf8String } from "./der-writer.ts";
import { X509Error } from "./errors.ts";
import {
  authorityKeyIdentifier,
  basicConstraints,
  extendedKeyUsage,
  keyUsage,
  subjectAltName,
  subjectKeyIdentifier,
} from "./extension-writer.ts";
import { ipAddressBytes } from "./ip-address.ts";
import { oid } from "./oid.ts";
import { keyIdOf } from "./public-key.ts";
import { serialInteger } from "./serial.ts";
import { algorithmIdentifier } from "./signature-algorithm.ts";
import type { Signer } from "./signer.ts";
import { version3 } from "./svid-template.ts";

/** What every self-signed certificate is made from. */
interface SelfSigned {
  /** Signs, and is what gets certified. */
  readonly signer: Signer;
  /** Big-endian; 8 to 20 octets (XSVID-26). */
  readonly serial: Uint8Array;
  /** Milliseconds since the epoch; cut to seconds. */
  readonly notBefore: number;
  /** Milliseconds since the epoch; cut to seconds. */
  readonly notAfter: number;
}

/** What an authority's certificate is made from. */
export interface AuthorityFields extends SelfSigned {
  readonly trustDomain: TrustDomain;
  /** The subject's common name, up to 64 characters, such as the issuer replica's. Defaults to "Herald". */
  readonly commonName?: string;
}

/** What a TLS endpoint's own certificate is made from. */
export interface TlsCertificateFields extends SelfSigned {
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly string[];
  /** One URI name, such as the broker's SPIFFE ID. */
  readonly uri?: string;
}

/**
 * A self-signed authority of a trust domain, DER. Written with the same DER writer as the SVIDs: the key may sit behind
 * {@link Signer} in a token or a worker, where libraries that want a WebCrypto key cannot reach it.
 * Its subject carries its serial, so that two authorities of one domain never have the same name (XSVID-27); no extended
 * key usage, for libraries disagree on what it means on a CA (XSVID-13).
 * @throws {X509Error} X509_SERIAL, X509_TIME, X509_NAME
 */
export async function createAuthority(fields: AuthorityFields): Promise<Uint8Array> {
  const keyId = keyIdOf(fields.signer.spki);
  const id = trustDomainId(fields.trustDomain);
  return await selfSign(fields, distinctName(fields.commonName ?? "Herald", fields.serial), [
    basicConstraints(true),
    keyUsage("keyCertSign", "cRLSign"),
    subjectKeyIdentifier(keyId),
    authorityKeyIdentifier(keyId),
    subjectAltName({ uris: [id], dnsNames: [] }, false),
  ]);
}

/**
 * A self-signed certificate for a TLS endpoint that is trusted by the pin of its key: the broker, the enrolment address.
 * Never an SVID, even with a `uri`: no bundle holds it.
 * @throws {X509Error} X509_SERIAL, X509_TIME, X509_NAME
 */
export async function selfSignedTlsCertificate(fields: TlsCertificateFields): Promise<Uint8Array> {
  const names = {
    uris: fields.uri === undefined ? [] : [fields.uri],
    dnsNames: fields.dnsNames,
    ipAddresses: fields.ipAddresses.map(ipAddressBytes),
  };
  return await selfSign(fields, distinctName("Herald TLS", fields.serial), [
    basicConstraints(false),
    keyUsage("digitalSignature"),
    extendedKeyUsage(oid.serverAuth),
    subjectKeyIdentifier(keyIdOf(fields.signer.spki)),
    subjectAltName(names, false),
  ]);
}

async function selfSign(
  fields: SelfSigned,
  name: Uint8Array,
  extensions: readonly Uint8Array[],
): Promise<Uint8Array> {
  const algorithm = algorithmIdentifier(fields.signer.algorithm);
  const toBeSigned = sequence(
    version3,
    serialInteger(fields.serial),
    algorithm,
    name,
    sequence(time(fields.notBefore), time(fields.notAfter)),
    name,
    fields.signer.spki,
    element(contextTag(3), sequence(...extensions)),
  );
  return sequence(toBeSigned, algorithm, bitString(await fields.signer.sign(toBeSigned)));
}

/** CN and serialNumber; 20 octets make 40 hex digits, within the 64 that RFC 5280 A.1 (ub-serial-number) allows. */
function distinctName(commonName: string, serial: Uint8Array): Uint8Array {
  // ub-common-name of RFC 5280 A.1; OpenSSL refuses longer ones.
  if (commonName === "" || commonName.length > 64) {
    throw new X509Error(
      "X509_NAME",
      "commonName: is empty or longer than 64; choose a shorter one",
    );
  }
  const serialText = Buffer.from(Buffer.from(serial).toString("hex"), "latin1");
  return sequence(
    attribute(oid.commonName, utf8String(commonName)),
    attribute(oid.serialNumber, element(tag.printableString, serialText)),
  );
}

function attribute(type: string, value: Uint8Array): Uint8Array {
  return element(tag.set, sequence(objectIdentifier(type), value));
}
