import { type DerElement, DerReader, readIa5, readSequence } from "./der-reader.ts";
import { contextTag, implicitTag } from "./der-tag.ts";

/** GeneralNames by kind (RFC 5280 4.2.1.6), read from DER and never from a display string (XSVID-23). */
export interface GeneralNames {
  readonly uris: readonly string[];
  readonly dnsNames: readonly string[];
  readonly emails: readonly string[];
  /** Raw: 4 or 16 bytes in a name; twice that, address and mask, in a constraint. */
  readonly ipAddresses: readonly Uint8Array[];
  /** How many names of the other five kinds there are; nobody here looks inside them. */
  readonly others: number;
}

/** The tag numbers of the GeneralName CHOICE. */
export const generalName: {
  readonly email: number;
  readonly dns: number;
  readonly uri: number;
  readonly ip: number;
} = {
  email: implicitTag(1),
  dns: implicitTag(2),
  uri: implicitTag(6),
  ip: implicitTag(7),
};

/** otherName, x400Address, directoryName, ediPartyName, registeredID. */
const otherKinds: ReadonlySet<number> = new Set([
  contextTag(0),
  contextTag(3),
  contextTag(4),
  contextTag(5),
  implicitTag(8),
]);

const knownKinds: ReadonlySet<number> = new Set([...Object.values(generalName), ...otherKinds]);

/** No names at all. */
export const noNames: GeneralNames = {
  uris: [],
  dnsNames: [],
  emails: [],
  ipAddresses: [],
  others: 0,
};

/**
 * Reads the value of a subjectAltName extension.
 * @throws {X509Error} X509_DER
 */
export function readGeneralNames(value: Uint8Array): GeneralNames {
  const reader = readSequence(value);
  const found: DerElement[] = [];
  while (!reader.isAtEnd) found.push(reader.any());
  return sortNames(found);
}

/** Sorts already separated GeneralName elements by kind. */
export function sortNames(names: readonly DerElement[]): GeneralNames {
  const contents = (tag: number): readonly Uint8Array[] =>
    names.filter((name) => name.tag === tag).map((name) => name.content);
  // An unknown kind is no GeneralName; reading its tag as one that must exist makes the reader refuse it.
  for (const name of names)
    if (!knownKinds.has(name.tag)) new DerReader(name.encoded).element(generalName.uri);
  return {
    uris: contents(generalName.uri).map(readIa5),
    dnsNames: contents(generalName.dns).map(readIa5),
    emails: contents(generalName.email).map(readIa5),
    ipAddresses: contents(generalName.ip),
    others: names.filter((name) => otherKinds.has(name.tag)).length,
  };
}
