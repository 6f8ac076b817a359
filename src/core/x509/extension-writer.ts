import { implicitTag, tag } from "./der-tag.ts";
import {
  derTrue,
  element,
  namedBits,
  objectIdentifier,
  octetString,
  sequence,
  unsignedInteger,
} from "./der-writer.ts";
import { X509Error } from "./errors.ts";
import { type KeyUsageBit, keyUsageNames } from "./extensions.ts";
import { generalName } from "./general-names.ts";
import { oid } from "./oid.ts";

/** basicConstraints, critical. A CA gets no pathLenConstraint: XSVID-07 leaves it open, and rotation by cross-signing needs room. */
export function basicConstraints(isCa: boolean): Uint8Array {
  return extension(oid.basicConstraints, true, isCa ? sequence(derTrue) : sequence());
}

/** keyUsage, critical (XSVID-08). */
export function keyUsage(...bits: readonly KeyUsageBit[]): Uint8Array {
  return extension(oid.keyUsage, true, namedBits(bits.map((bit) => keyUsageNames.indexOf(bit))));
}

/** extKeyUsage with these purposes. */
export function extendedKeyUsage(...purposes: readonly string[]): Uint8Array {
  return extension(oid.extendedKeyUsage, false, sequence(...purposes.map(objectIdentifier)));
}

/** subjectKeyIdentifier. */
export function subjectKeyIdentifier(keyId: Uint8Array): Uint8Array {
  return extension(oid.subjectKeyIdentifier, false, octetString(keyId));
}

/** authorityKeyIdentifier by key identifier alone. */
export function authorityKeyIdentifier(keyId: Uint8Array): Uint8Array {
  return extension(oid.authorityKeyIdentifier, false, sequence(element(implicitTag(0), keyId)));
}

/** cRLNumber, of a CRL (RFC 5280 5.2.3). */
export function crlNumber(number: bigint): Uint8Array {
  const hex = number.toString(16);
  const bytes = Buffer.from(hex.padStart(hex.length + (hex.length % 2), "0"), "hex");
  return extension(oid.crlNumber, false, unsignedInteger(bytes));
}

/** reasonCode, of an entry of a CRL (RFC 5280 5.3.1). */
export function reasonCode(reason: number): Uint8Array {
  return extension(oid.crlReason, false, element(tag.enumerated, Uint8Array.of(reason)));
}

/** What a subjectAltName holds, in this order. */
export interface AlternativeNames {
  readonly uris: readonly string[];
  readonly dnsNames: readonly string[];
  /** Raw, 4 or 16 bytes each. */
  readonly ipAddresses?: readonly Uint8Array[];
}

/**
 * subjectAltName; critical when it stands in for an empty subject (RFC 5280 4.2.1.6, XSVID-05).
 * @throws {X509Error} X509_NAME when a name is empty or not ASCII
 */
export function subjectAltName(names: AlternativeNames, critical: boolean): Uint8Array {
  const uris = names.uris.map((uri) => element(generalName.uri, ia5(uri)));
  const dns = names.dnsNames.map((name) => element(generalName.dns, ia5(name)));
  const ips = (names.ipAddresses ?? []).map((address) => element(generalName.ip, address));
  return extension(oid.subjectAltName, critical, sequence(...uris, ...dns, ...ips));
}

const objectIdentifiers = new Map(
  Object.values(oid).map((dotted) => [dotted, objectIdentifier(dotted)]),
);

function extension(
  id: (typeof oid)[keyof typeof oid],
  critical: boolean,
  value: Uint8Array,
): Uint8Array {
  const name = objectIdentifiers.get(id) ?? objectIdentifier(id);
  return critical
    ? sequence(name, derTrue, octetString(value))
    : sequence(name, octetString(value));
}

function ia5(text: string): Uint8Array {
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code <= 0x20 || code > 0x7e) throw unfit();
  }
  if (text === "") throw unfit();
  return Buffer.from(text, "latin1");
}

function unfit(): X509Error {
  return new X509Error(
    "X509_NAME",
    "alternative name: is empty or not visible ASCII; write international names in punycode",
  );
}
