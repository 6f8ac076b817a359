import {
  DerReader,
  readBoolean,
  readNamedBits,
  readObjectIdentifier,
  readSequence,
  readSmallInteger,
} from "./der-reader.ts";
import { contextTag, implicitTag, tag } from "./der-tag.ts";
import { X509Error } from "./errors.ts";
import { type GeneralNames, noNames, readGeneralNames, sortNames } from "./general-names.ts";
import { oid } from "./oid.ts";

/** One extension as it stands in the certificate or CRL. */
export interface Extension {
  readonly oid: string;
  readonly critical: boolean;
  /** What the OCTET STRING holds: DER of the extension's own type. */
  readonly value: Uint8Array;
}

/** The bits of KeyUsage by name, in their order (RFC 5280 4.2.1.3). */
export const keyUsageNames = [
  "digitalSignature",
  "contentCommitment",
  "keyEncipherment",
  "dataEncipherment",
  "keyAgreement",
  "keyCertSign",
  "cRLSign",
  "encipherOnly",
  "decipherOnly",
] as const;

/** One bit of KeyUsage. */
export type KeyUsageBit = (typeof keyUsageNames)[number];

/** KeyUsage as found. */
interface KeyUsage {
  readonly critical: boolean;
  readonly bits: ReadonlySet<KeyUsageBit>;
}

/** Name constraints of a CA (RFC 5280 4.2.1.10); undefined: that list is absent. */
interface NameConstraints {
  readonly permitted: GeneralNames | undefined;
  readonly excluded: GeneralNames | undefined;
}

/** What Herald reads out of a certificate's extensions. */
export interface ExtensionFacts {
  readonly extensions: readonly Extension[];
  readonly names: GeneralNames;
  readonly isCa: boolean;
  readonly pathLength: number | undefined;
  readonly keyUsage: KeyUsage | undefined;
  readonly extendedKeyUsages: readonly string[] | undefined;
  readonly nameConstraints: NameConstraints | undefined;
  readonly subjectKeyId: string | undefined;
  readonly authorityKeyId: string | undefined;
  readonly unknownCriticalExtensions: readonly string[];
}

/**
 * Extensions that path validation here processes. certificatePolicies is among them because with any policy acceptable
 * and none required, as in SPIFFE, its processing has no outcome (RFC 5280 6.1.3 d).
 */
const processed: ReadonlySet<string> = new Set([
  oid.basicConstraints,
  oid.keyUsage,
  oid.extendedKeyUsage,
  oid.subjectAltName,
  oid.nameConstraints,
  oid.certificatePolicies,
]);

/**
 * Reads the Extensions SEQUENCE; undefined when the certificate has none.
 * @throws {X509Error} X509_DER, X509_DUPLICATE_EXTENSION
 */
export function readExtensions(extensions: DerReader | undefined): ExtensionFacts {
  const list = extensions === undefined ? [] : listExtensions(extensions);
  const valueFor = (wanted: string): Uint8Array | undefined =>
    list.find((extension) => extension.oid === wanted)?.value;
  const basic = readBasicConstraints(valueFor(oid.basicConstraints));
  const names = valueFor(oid.subjectAltName);
  return {
    extensions: list,
    names: names === undefined ? noNames : readGeneralNames(names),
    isCa: basic.isCa,
    pathLength: basic.pathLength,
    keyUsage: readKeyUsage(list.find((extension) => extension.oid === oid.keyUsage)),
    extendedKeyUsages: readExtendedKeyUsages(valueFor(oid.extendedKeyUsage)),
    nameConstraints: readNameConstraints(valueFor(oid.nameConstraints)),
    subjectKeyId: readSubjectKeyId(valueFor(oid.subjectKeyIdentifier)),
    authorityKeyId: readAuthorityKeyId(valueFor(oid.authorityKeyIdentifier)),
    unknownCriticalExtensions: list
      .filter((extension) => extension.critical && !processed.has(extension.oid))
      .map((extension) => extension.oid),
  };
}

/**
 * The list of extensions as written, of a certificate, a CRL or a CRL's entry.
 * @throws {X509Error} X509_DER, X509_DUPLICATE_EXTENSION
 */
export function listExtensions(reader: DerReader): Extension[] {
  const list: Extension[] = [];
  const seen = new Set<string>();
  while (!reader.isAtEnd) {
    const one = reader.sequence();
    const id = readObjectIdentifier(one.content(tag.objectIdentifier));
    const criticalElement = one.optional(tag.boolean);
    const critical = criticalElement !== undefined && readBoolean(criticalElement.content);
    // X.690 11.5: FALSE is the DEFAULT, so DER leaves it out.
    if (criticalElement !== undefined && !critical)
      throw malformed("an extension says critical FALSE");
    const value = one.content(tag.octetString);
    one.end();
    // RFC 5280 4.2: one of each; with two, two readers could each believe another one.
    if (seen.has(id)) {
      throw new X509Error(
        "X509_DUPLICATE_EXTENSION",
        `extensions: ${id} is there twice; issue it with one`,
      );
    }
    seen.add(id);
    list.push({ oid: id, critical, value });
  }
  if (list.length === 0) throw malformed("the list of extensions is empty");
  return list;
}

function readBasicConstraints(value: Uint8Array | undefined): {
  isCa: boolean;
  pathLength: number | undefined;
} {
  if (value === undefined) return { isCa: false, pathLength: undefined };
  const reader = readSequence(value);
  const ca = reader.optional(tag.boolean);
  const isCa = ca !== undefined && readBoolean(ca.content);
  const length = reader.optional(tag.integer);
  reader.end();
  if (ca !== undefined && !isCa) throw malformed("basicConstraints writes cA FALSE, the default");
  if (length !== undefined && !isCa)
    throw malformed("basicConstraints has a pathLenConstraint without cA");
  return { isCa, pathLength: length === undefined ? undefined : readSmallInteger(length.content) };
}

function readKeyUsage(extension: Extension | undefined): KeyUsage | undefined {
  if (extension === undefined) return undefined;
  const reader = new DerReader(extension.value);
  const numbers = readNamedBits(reader.content(tag.bitString));
  reader.end();
  const bits = new Set<KeyUsageBit>();
  for (const number of numbers) {
    const name = keyUsageNames[number];
    if (name === undefined) throw malformed("keyUsage has a bit that RFC 5280 does not know");
    bits.add(name);
  }
  return { critical: extension.critical, bits };
}

function readExtendedKeyUsages(value: Uint8Array | undefined): readonly string[] | undefined {
  if (value === undefined) return undefined;
  const reader = readSequence(value);
  const usages: string[] = [];
  while (!reader.isAtEnd) usages.push(readObjectIdentifier(reader.content(tag.objectIdentifier)));
  if (usages.length === 0) throw malformed("extKeyUsage is empty");
  return usages;
}

function readSubjectKeyId(value: Uint8Array | undefined): string | undefined {
  if (value === undefined) return undefined;
  const reader = new DerReader(value);
  const id = reader.content(tag.octetString);
  reader.end();
  return Buffer.from(id).toString("hex");
}

/**
 * Only the keyIdentifier is used; issuer name and serial, when there, are left to those who need them.
 * @throws {X509Error} X509_DER
 */
export function readAuthorityKeyId(value: Uint8Array | undefined): string | undefined {
  if (value === undefined) return undefined;
  const id = readSequence(value).optional(implicitTag(0));
  return id === undefined ? undefined : Buffer.from(id.content).toString("hex");
}

function readNameConstraints(value: Uint8Array | undefined): NameConstraints | undefined {
  if (value === undefined) return undefined;
  const reader = readSequence(value);
  const permitted = reader.optional(contextTag(0));
  const excluded = reader.optional(contextTag(1));
  reader.end();
  if (permitted === undefined && excluded === undefined)
    throw malformed("nameConstraints is empty");
  return {
    permitted: permitted === undefined ? undefined : readSubtrees(permitted.content),
    excluded: excluded === undefined ? undefined : readSubtrees(excluded.content),
  };
}

function readSubtrees(content: Uint8Array): GeneralNames {
  const reader = new DerReader(content);
  const bases = [];
  while (!reader.isAtEnd) {
    const subtree = reader.sequence();
    bases.push(subtree.any());
    // RFC 5280 4.2.1.10: minimum is the default 0 and so left out, maximum is absent.
    subtree.end();
  }
  return sortNames(bases);
}

function malformed(what: string): X509Error {
  return new X509Error("X509_DER", `extensions: ${what}; have the certificate or CRL issued anew`);
}
