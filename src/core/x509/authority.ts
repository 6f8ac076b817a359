import { type TrustDomain, trustDomainId } from "../spiffe/spiffe-id.ts";
import type { Certificate } from "./certificate.ts";
import { type CertificateSigner, signerOfAuthority } from "./certificate-signer.ts";
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
import type { Signer } from "./signer.ts";
import { version3 } from "./svid-template.ts";

/** What every certificate here is made from. */
interface Certified {
  /** What gets certified, and signs where nobody above does. */
  readonly signer: Signer;
  /** Big-endian; 8 to 20 octets (XSVID-26). */
  readonly serial: Uint8Array;
  /** Milliseconds since the epoch; cut to seconds. */
  readonly notBefore: number;
  /** Milliseconds since the epoch; cut to seconds. */
  readonly notAfter: number;
}

/** What an authority's certificate is made from. */
export interface AuthorityFields extends Certified {
  readonly trustDomain: TrustDomain;
  /** The subject's common name, up to 64 characters, such as the issuer replica's. Defaults to "Herald". */
  readonly commonName?: string;
}

/** What a TLS endpoint's own certificate is made from. */
export interface TlsCertificateFields extends Certified {
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly string[];
  /** One URI name, such as the broker's SPIFFE ID. */
  readonly uri?: string;
}

/** Who certifies an authority that is not its own root. */
export interface CertifyingAuthority {
  readonly certificate: Certificate;
  readonly signer: CertificateSigner;
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
  const subject = distinctName(fields.commonName ?? "Herald", fields.serial);
  return await certify(fields, {
    subject,
    issuer: subject,
    by: signerOfAuthority(fields.signer),
    extensions: [...authorityProfile(fields, keyId), authorityKeyIdentifier(keyId)],
  });
}

/**
 * An authority of a trust domain below another one, DER: the same profile, with the upper one's name, key identifier and
 * signature. Whether the upper one may certify it is the caller's to check (core/svid/authority-path.ts).
 * @throws {X509Error} X509_SERIAL, X509_TIME, X509_NAME
 */
export async function createIntermediate(
  fields: AuthorityFields,
  above: CertifyingAuthority,
): Promise<Uint8Array> {
  const { subject: issuer, subjectKeyId } = above.certificate;
  const aboveKeyId =
    subjectKeyId === undefined ? [] : [authorityKeyIdentifier(Buffer.from(subjectKeyId, "hex"))];
  return await certify(fields, {
    subject: distinctName(fields.commonName ?? "Herald", fields.serial),
    issuer,
    by: above.signer,
    extensions: [...authorityProfile(fields, keyIdOf(fields.signer.spki)), ...aboveKeyId],
  });
}

/** What every authority of a trust domain says of itself, in a certificate or in a request for one. */
export function authorityProfile(
  { trustDomain }: { readonly trustDomain: TrustDomain },
  keyId: Uint8Array,
): readonly Uint8Array[] {
  return [
    basicConstraints(true),
    keyUsage("keyCertSign", "cRLSign"),
    subjectKeyIdentifier(keyId),
    subjectAltName({ uris: [trustDomainId(trustDomain)], dnsNames: [] }, false),
  ];
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
  const name = distinctName("Herald TLS", fields.serial);
  return await certify(fields, {
    subject: name,
    issuer: name,
    by: signerOfAuthority(fields.signer),
    extensions: [
      basicConstraints(false),
      keyUsage("digitalSignature"),
      extendedKeyUsage(oid.serverAuth),
      subjectKeyIdentifier(keyIdOf(fields.signer.spki)),
      subjectAltName(names, false),
    ],
  });
}

async function certify(
  fields: Certified,
  parts: {
    readonly subject: Uint8Array;
    readonly issuer: Uint8Array;
    readonly by: CertificateSigner;
    readonly extensions: readonly Uint8Array[];
  },
): Promise<Uint8Array> {
  const { subject, issuer, by, extensions } = parts;
  const toBeSigned = sequence(
    version3,
    serialInteger(fields.serial),
    by.identifier,
    issuer,
    sequence(time(fields.notBefore), time(fields.notAfter)),
    subject,
    fields.signer.spki,
    element(contextTag(3), sequence(...extensions)),
  );
  return sequence(toBeSigned, by.identifier, bitString(await by.sign(toBeSigned)));
}

/** CN and serialNumber; 20 octets make 40 hex digits, within the 64 that RFC 5280 A.1 (ub-serial-number) allows. */
function distinctName(commonName: string, serial: Uint8Array): Uint8Array {
  const serialText = Buffer.from(Buffer.from(serial).toString("hex"), "latin1");
  return sequence(
    commonNameOf(commonName),
    attribute(oid.serialNumber, element(tag.printableString, serialText)),
  );
}

/** The part of a Name that holds its common name. @throws {X509Error} X509_NAME */
export function commonNameOf(commonName: string): Uint8Array {
  // ub-common-name of RFC 5280 A.1; OpenSSL refuses longer ones.
  if (commonName === "" || commonName.length > 64) {
    throw new X509Error(
      "X509_NAME",
      "commonName: is empty or longer than 64; choose a shorter one",
    );
  }
  return attribute(oid.commonName, utf8String(commonName));
}

function attribute(type: string, value: Uint8Array): Uint8Array {
  return element(tag.set, sequence(objectIdentifier(type), value));
}
