import {
  DerReader,
  readBitString,
  readObjectIdentifier,
  readSequence,
  readSmallInteger,
  readUnsigned,
} from "./der-reader.ts";
import { contextTag, implicitTag, tag } from "./der-tag.ts";
import { readTime } from "./der-time.ts";
import { X509Error } from "./errors.ts";
import { type ExtensionFacts, readExtensions } from "./extensions.ts";
import type { GeneralNames } from "./general-names.ts";

/** A TBSCertificate as read: everything that a signature covers. */
export interface ToBeSigned extends Omit<ExtensionFacts, "names"> {
  /** Lower-case hex, two digits a byte, without the sign byte. */
  readonly serial: string;
  /** The `signature` AlgorithmIdentifier, DER. */
  readonly algorithmIdentifier: Uint8Array;
  /** Name, DER; compared byte by byte. */
  readonly issuer: Uint8Array;
  /** Name, DER. */
  readonly subject: Uint8Array;
  /** Whether the subject has no part at all. */
  readonly isSubjectEmpty: boolean;
  /** Milliseconds since the epoch. */
  readonly notBefore: number;
  /** Milliseconds since the epoch; the last second in which it is valid. */
  readonly notAfter: number;
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Uint8Array;
  readonly uris: readonly string[];
  readonly dnsNames: readonly string[];
  readonly emails: readonly string[];
  /** Raw, 4 or 16 bytes each. */
  readonly ipAddresses: readonly Uint8Array[];
  /** All names of the subjectAltName by kind, for name constraints. */
  readonly names: GeneralNames;
}

/** What a certificate and a CRL are once signed. */
export interface Signed {
  /** The signed bytes, TBSCertificate or TBSCertList in DER. */
  readonly tbs: Uint8Array;
  readonly signature: Uint8Array;
  /** Dotted OID. */
  readonly signatureAlgorithm: string;
  /** Whether the algorithm has parameters other than NULL: RSA-PSS does, ECDSA and Ed25519 must not. */
  readonly hasAlgorithmParameters: boolean;
}

/** A certificate as read. Its bytes are its own copy: nobody who handed them in can change them afterwards. */
export interface Certificate extends ToBeSigned, Signed {
  readonly der: Uint8Array;
}

/** Above this a certificate is refused unread: Envoy's and Go's own limits on a handshake are of this order. */
const longestCertificate = 64 * 1024;

/**
 * Reads one certificate, strictly as DER. What it says is not yet believed: see core/svid/verify.ts.
 * @throws {X509Error} X509_DER, X509_CERTIFICATE, X509_DUPLICATE_EXTENSION, X509_TIME
 */
export function parseCertificate(der: Uint8Array): Certificate {
  if (der.length > longestCertificate)
    throw malformed("is larger than 64 KiB; send one certificate only");
  const own = new Uint8Array(der);
  const { algorithm, ...signed } = readSigned(own);
  const facts = parseToBeSigned(signed.tbs);
  // RFC 5280 4.1.1.2: the unsigned algorithm must repeat the signed one, else an attacker picks it.
  if (!Buffer.from(algorithm).equals(facts.algorithmIdentifier)) {
    throw malformed("names two signature algorithms; issue it anew");
  }
  return { ...facts, der: own, ...signed };
}

/**
 * The outer frame that certificates and CRLs share (RFC 5280 4.1, 5.1), with its AlgorithmIdentifier in DER.
 * @throws {X509Error} X509_DER
 */
export function readSigned(der: Uint8Array): Signed & { readonly algorithm: Uint8Array } {
  const reader = readSequence(der);
  const tbs = reader.element(tag.sequence).encoded;
  const algorithm = reader.element(tag.sequence).encoded;
  const signature = readBitString(reader.content(tag.bitString));
  reader.end();
  return { tbs, algorithm, signature, ...readAlgorithm(algorithm) };
}

/**
 * Reads a TBSCertificate that nobody has signed yet, as the lint before signing does.
 * @throws {X509Error} X509_DER, X509_CERTIFICATE, X509_DUPLICATE_EXTENSION, X509_TIME
 */
export function parseToBeSigned(tbs: Uint8Array): ToBeSigned {
  const reader = readSequence(tbs);
  const version = readVersion(reader);
  const serial = readUnsigned(reader.content(tag.integer));
  const algorithmIdentifier = reader.element(tag.sequence).encoded;
  const issuer = readName(reader);
  const validity = reader.sequence();
  const notBefore = readTime(validity.any());
  const notAfter = readTime(validity.any());
  validity.end();
  const subject = readName(reader);
  const spki = reader.element(tag.sequence).encoded;
  // RFC 5280 4.1.2.8: unique identifiers are relics that no conforming CA writes.
  if (reader.peek() === implicitTag(1) || reader.peek() === implicitTag(2)) {
    throw malformed("has a unique identifier; issue it without");
  }
  const wrapped = reader.optional(contextTag(3));
  reader.end();
  if (wrapped !== undefined && version !== 2)
    throw malformed("has extensions but is not of version 3");
  const { names, ...rest } = readExtensions(
    wrapped === undefined ? undefined : readSequence(wrapped.content),
  );
  return {
    serial: Buffer.from(serial).toString("hex"),
    algorithmIdentifier,
    issuer,
    subject,
    isSubjectEmpty: subject.length === 2,
    notBefore,
    notAfter,
    spki,
    uris: names.uris,
    dnsNames: names.dnsNames,
    emails: names.emails,
    ipAddresses: names.ipAddresses,
    names,
    ...rest,
  };
}

/** The version number as encoded: 0 is v1, 2 is v3. */
function readVersion(reader: DerReader): number {
  const wrapped = reader.optional(contextTag(0));
  if (wrapped === undefined) return 0;
  const inner = new DerReader(wrapped.content);
  const version = readSmallInteger(inner.content(tag.integer));
  inner.end();
  if (version !== 1 && version !== 2)
    throw malformed("has an unknown version; issue it as version 3");
  return version;
}

/**
 * A Name, DER: its outline is checked (RDNs of attributes), its texts are not, for nobody here reads them.
 * @throws {X509Error} X509_DER
 */
export function readName(reader: DerReader): Uint8Array {
  const name = reader.element(tag.sequence);
  const relativeNames = new DerReader(name.content);
  while (!relativeNames.isAtEnd) {
    const attributes = relativeNames.enter(tag.set);
    do {
      const attribute = attributes.sequence();
      readObjectIdentifier(attribute.content(tag.objectIdentifier));
      attribute.any();
      attribute.end();
    } while (!attributes.isAtEnd);
  }
  return name.encoded;
}

function readAlgorithm(
  identifier: Uint8Array,
): Pick<Signed, "signatureAlgorithm" | "hasAlgorithmParameters"> {
  const reader = readSequence(identifier);
  const signatureAlgorithm = readObjectIdentifier(reader.content(tag.objectIdentifier));
  const parameters = reader.isAtEnd ? undefined : reader.any();
  reader.end();
  const isNull = parameters?.tag === tag.null && parameters.content.length === 0;
  return { signatureAlgorithm, hasAlgorithmParameters: parameters !== undefined && !isNull };
}

function malformed(what: string): X509Error {
  return new X509Error("X509_CERTIFICATE", `certificate: ${what}`);
}
