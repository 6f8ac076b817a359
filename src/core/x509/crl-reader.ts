import { type Certificate, readName, readSigned, type Signed } from "./certificate.ts";
import { DerReader, readSequence, readSmallInteger, readUnsigned } from "./der-reader.ts";
import { contextTag, tag } from "./der-tag.ts";
import { readTime } from "./der-time.ts";
import { X509Error, type X509ErrorCode } from "./errors.ts";
import { type Extension, listExtensions, readAuthorityKeyId } from "./extensions.ts";
import { oid } from "./oid.ts";
import { isSignedBy } from "./signature.ts";

/** One revoked certificate. */
interface RevokedCertificate {
  /** As `Certificate.serial` writes it. */
  readonly serial: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** CRLReason (RFC 5280 5.3.1); undefined when the CRL does not say. */
  readonly reason: number | undefined;
}

/** A CRL as read. Its bytes are its own copy. */
export interface Crl extends Signed {
  readonly der: Uint8Array;
  /** Name, DER; compared byte by byte. */
  readonly issuer: Uint8Array;
  /** Subject key id of the authority, lower-case hex. */
  readonly authorityKeyId: string;
  /** CRLNumber: grows with every CRL of an authority. */
  readonly number: bigint;
  /** Milliseconds since the epoch. Before it, verifiers refuse everybody. */
  readonly thisUpdate: number;
  /** Milliseconds since the epoch. From it on, verifiers refuse everybody (EF-21). */
  readonly nextUpdate: number;
  readonly revoked: readonly RevokedCertificate[];
}

/** RFC 5280 4.1.2.2, 5.2.3: serials and CRL numbers take at most 20 octets. */
const longestInteger = 20;

/** RFC 5280 5.3.1: 7 is unused, and 8, removeFromCRL, belongs into delta CRLs. */
const reasons: ReadonlySet<number> = new Set([0, 1, 2, 3, 4, 5, 6, 9, 10]);

/** What Herald reads besides: an entry's reason, and the day from which its key is suspect, which changes nothing here. */
const knownOfEntries: ReadonlySet<string> = new Set([oid.crlReason, oid.crlInvalidityDate]);

/** RFC 5280 5.2.4 to 5.2.6: each makes a CRL less than the whole list of one authority, critical or not. */
const narrowing: ReadonlyMap<string, string> = new Map([
  ["2.5.29.27", "is a delta CRL"],
  ["2.5.29.28", "covers a part of the certificates, or another's (issuingDistributionPoint)"],
]);

/**
 * Reads one CRL, strictly as DER: version 2, complete, of one authority, with CRLNumber, AuthorityKeyIdentifier and both dates
 * (RFC 5280 5). Up to 1 MiB. What it says is not yet believed: see {@link verifyCrl}.
 * @throws {X509Error} X509_DER, X509_TIME, X509_DUPLICATE_EXTENSION, X509_CRL, X509_CRL_UNSUPPORTED
 */
export function parseCrl(der: Uint8Array): Crl {
  const own = new Uint8Array(der);
  const { algorithm, ...signed } = readSigned(own);
  const reader = readSequence(signed.tbs);
  const version = reader.optional(tag.integer);
  if (version === undefined || readSmallInteger(version.content) !== 1)
    throw malformed("is not of version 2");
  // RFC 5280 5.1.1.2: the unsigned algorithm must repeat the signed one, else an attacker picks it.
  if (!Buffer.from(reader.element(tag.sequence).encoded).equals(algorithm))
    throw malformed("names two signature algorithms");
  const issuer = readName(reader);
  const { thisUpdate, nextUpdate } = readDates(reader);
  const revoked = readRevoked(reader.optional(tag.sequence)?.content);
  const extensions = readSequence(reader.element(contextTag(0)).content);
  reader.end();
  const facts = readCrlExtensions(listExtensions(extensions));
  return { der: own, ...signed, issuer, thisUpdate, nextUpdate, revoked, ...facts };
}

/**
 * Proves that `authority` issued this CRL: by name, key identifier and signature, and that it may (RFC 5280 6.3.3 f, g). Dates,
 * and whether the authority is trusted, are the caller's matter.
 * @throws {X509Error} X509_CRL_FOREIGN
 */
export function verifyCrl(crl: Crl, authority: Certificate): void {
  if (crl.authorityKeyId !== authority.subjectKeyId)
    throw foreign("its authorityKeyIdentifier is not the authority's key");
  if (!Buffer.from(crl.issuer).equals(authority.subject))
    throw foreign("its issuer is not the authority's subject");
  if (!authority.isCa || authority.keyUsage?.bits.has("cRLSign") === false)
    throw foreign("the authority may not sign CRLs: cA or cRLSign is missing");
  if (!isSignedBy(crl, authority.spki)) throw foreign("its signature is not by the authority");
}

/** RFC 5280 5.1.2.5 demands nextUpdate: a CRL without one would never go stale. */
function readDates(reader: DerReader): Pick<Crl, "thisUpdate" | "nextUpdate"> {
  const thisUpdate = readTime(reader.any());
  const hasNext = reader.peek() === tag.utcTime || reader.peek() === tag.generalizedTime;
  if (!hasNext) throw malformed("has no nextUpdate");
  const nextUpdate = readTime(reader.any());
  if (nextUpdate <= thisUpdate) throw malformed("ends before it begins: nextUpdate, thisUpdate");
  return { thisUpdate, nextUpdate };
}

function readRevoked(content: Uint8Array | undefined): readonly RevokedCertificate[] {
  if (content === undefined) return [];
  const reader = new DerReader(content);
  const revoked = new Map<string, RevokedCertificate>();
  while (!reader.isAtEnd) {
    const one = readEntry(reader.sequence());
    if (revoked.has(one.serial)) throw malformed(`revokes serial ${one.serial} twice`);
    revoked.set(one.serial, one);
  }
  // RFC 5280 5.1.2.6: absent, not empty.
  if (revoked.size === 0) throw malformed("has an empty list of revoked certificates");
  return [...revoked.values()];
}

function readEntry(entry: DerReader): RevokedCertificate {
  const serial = hexOf(entry.element(tag.integer).content, "a serial number");
  const at = readTime(entry.any());
  const extensions = entry.optional(tag.sequence);
  entry.end();
  const list = extensions === undefined ? [] : listExtensions(new DerReader(extensions.content));
  refuseUnknown(list, knownOfEntries);
  return { serial, at, reason: readReason(list.find((one) => one.oid === oid.crlReason)) };
}

function readReason(extension: Extension | undefined): number | undefined {
  if (extension === undefined) return undefined;
  const reader = new DerReader(extension.value);
  const reason = readSmallInteger(reader.element(tag.enumerated).content);
  reader.end();
  if (!reasons.has(reason))
    throw malformed(`gives a reason that a complete CRL has not: ${reason}`);
  return reason;
}

function readCrlExtensions(list: readonly Extension[]): Pick<Crl, "authorityKeyId" | "number"> {
  for (const { oid: id } of list) {
    const what = narrowing.get(id);
    if (what !== undefined) throw unsupported(what);
  }
  refuseUnknown(list, new Set());
  const valueOf = (id: string): Uint8Array | undefined => list.find((one) => one.oid === id)?.value;
  const authorityKeyId = readAuthorityKeyId(valueOf(oid.authorityKeyIdentifier));
  if (authorityKeyId === undefined || authorityKeyId === "")
    throw malformed("has no authorityKeyIdentifier");
  const number = valueOf(oid.crlNumber);
  if (number === undefined) throw malformed("has no CRLNumber");
  const reader = new DerReader(number);
  const digits = hexOf(reader.element(tag.integer).content, "a CRLNumber");
  reader.end();
  return { authorityKeyId, number: BigInt(`0x${digits}`) };
}

/** RFC 5280 5.2, 5.3: a CRL with a critical extension that is not processed must not be used. */
function refuseUnknown(list: readonly Extension[], known: ReadonlySet<string>): void {
  const unknown = list.find((one) => one.critical && !known.has(one.oid));
  if (unknown !== undefined)
    throw unsupported(`has the critical extension ${unknown.oid}, which is not processed here`);
}

function hexOf(content: Uint8Array, what: string): string {
  const bytes = readUnsigned(content);
  if (content.length > longestInteger)
    throw malformed(`has ${what} of more than ${longestInteger} octets`);
  return Buffer.from(bytes).toString("hex");
}

function malformed(what: string): X509Error {
  return refusal("X509_CRL", `${what}; issue it by RFC 5280 section 5`);
}

function unsupported(what: string): X509Error {
  return refusal("X509_CRL_UNSUPPORTED", `${what}; publish the authority's complete CRL`);
}

function foreign(what: string): X509Error {
  return refusal("X509_CRL_FOREIGN", `${what}; publish the CRL that this authority signed`);
}

function refusal(code: X509ErrorCode, what: string): X509Error {
  return new X509Error(code, `CRL: ${what}`);
}
