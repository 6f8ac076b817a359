import type { SpiffeId } from "../spiffe/spiffe-id.ts";
import type { Certificate } from "../x509/certificate.ts";
import { type DerReader, readSequence, readUnsigned } from "../x509/der-reader.ts";
import { contextTag, implicitTag, tag } from "../x509/der-tag.ts";
import { readTime } from "../x509/der-time.ts";
import { ecAlgorithmOf, keyIdHexOf } from "../x509/public-key.ts";
import { algorithmIdentifier } from "../x509/signature-algorithm.ts";

/** What a leaf says, beside the profile that all have. */
export interface LeafFields {
  readonly id: SpiffeId;
  /** In this order. */
  readonly dnsNames: readonly string[];
  readonly spki: Uint8Array;
  readonly serial: Uint8Array;
  /** Milliseconds since the epoch; compared in whole seconds. */
  readonly notBefore: number;
  /** Milliseconds since the epoch; compared in whole seconds. */
  readonly notAfter: number;
  /** Who is to sign it. */
  readonly authority: Certificate;
}

/** Version 3. */
const version3 = Buffer.from("a003020102", "hex");
const emptyName = Buffer.from("3000", "hex");

/** keyUsage (critical) digitalSignature; extKeyUsage serverAuth, clientAuth; basicConstraints (critical) without cA: as RFC 5280 spells them in DER. */
const profile = Buffer.from(
  `300e0603551d0f0101ff040403020780
   301d0603551d250416301406082b0601050507030106082b06010505070302
   300c0603551d130101ff04023000`.replaceAll(/\s/g, ""),
  "hex",
);

/** subjectAltName, critical, up to its OCTET STRING. */
const nameHead = Buffer.from("0603551d110101ff", "hex");

/** Hex digits of the key identifiers that Herald makes; others are left to the reader that takes any. */
const keyIdDigits = 40;

/**
 * Whether to-be-signed bytes are, from the first to the last, what Herald's profile makes of `expected`: nothing is in them that was not compared.
 * Says no to the unusual, such as another order of extensions, which is then looked at in full. Never throws.
 */
export function isExactLeaf(toBeSigned: Uint8Array, expected: LeafFields): boolean {
  try {
    const reader = readSequence(toBeSigned);
    return (
      isHead(reader, expected) &&
      isExtensions(reader.enter(contextTag(3)), expected) &&
      reader.isAtEnd
    );
  } catch {
    return false;
  }
}

function isHead(reader: DerReader, expected: LeafFields): boolean {
  const { authority, serial, spki } = expected;
  const curve = ecAlgorithmOf(authority.spki);
  return (
    curve !== undefined &&
    reader.skips(version3) &&
    Buffer.compare(readUnsigned(reader.content(tag.integer)), serial) === 0 &&
    reader.skips(algorithmIdentifier(curve)) &&
    reader.skips(authority.subject) &&
    isValidity(reader.sequence(), expected) &&
    reader.skips(emptyName) &&
    reader.skips(spki)
  );
}

function isValidity(reader: DerReader, { notBefore, notAfter }: LeafFields): boolean {
  return (
    readTime(reader.any()) === wholeSeconds(notBefore) &&
    readTime(reader.any()) === wholeSeconds(notAfter) &&
    reader.isAtEnd
  );
}

function isExtensions(wrapped: DerReader, { authority, spki, id, dnsNames }: LeafFields): boolean {
  const authorityKeyId = authority.subjectKeyId;
  if (authorityKeyId?.length !== keyIdDigits) return false;
  const extensions = wrapped.sequence();
  const keyIds = `301f0603551d23041830168014${authorityKeyId}301d0603551d0e04160414${keyIdHexOf(spki)}`;
  return (
    extensions.skips(profile) &&
    extensions.skips(Buffer.from(keyIds, "hex")) &&
    isNames(extensions.sequence(), [id], dnsNames) &&
    extensions.isAtEnd &&
    wrapped.isAtEnd
  );
}

function isNames(
  extension: DerReader,
  uris: readonly string[],
  dnsNames: readonly string[],
): boolean {
  if (!extension.skips(nameHead)) return false;
  const value = extension.enter(tag.octetString);
  const names = value.sequence();
  return (
    uris.every((uri) => isText(names.content(implicitTag(6)), uri)) &&
    dnsNames.every((name) => isText(names.content(implicitTag(2)), name)) &&
    names.isAtEnd &&
    value.isAtEnd &&
    extension.isAtEnd
  );
}

/** Printable ASCII, as IA5 names are read everywhere else: control characters hide in a log (XSVID-23). */
function isText(content: Uint8Array, text: string): boolean {
  if (content.length !== text.length) return false;
  for (let at = 0; at < content.length; at += 1) {
    const byte = content[at] ?? 0;
    if (byte !== text.charCodeAt(at) || byte < 0x20 || byte > 0x7e) return false;
  }
  return true;
}

function wholeSeconds(ms: number): number {
  return Math.floor(ms / 1000) * 1000;
}
