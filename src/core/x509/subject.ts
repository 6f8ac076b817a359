import { DerReader, readObjectIdentifier, readSequence } from "./der-reader.ts";
import { tag } from "./der-tag.ts";
import { oid } from "./oid.ts";

/** Text types whose bytes are ASCII wherever a name that Herald would act on is written (RFC 5280 4.1.2.4). */
const asciiTypes: ReadonlySet<number> = new Set([tag.utf8String, tag.printableString]);

/**
 * The common names of a subject (Name, DER) in their order, those in ASCII. A name in another alphabet or type is given as an empty text, so that it
 * is neither acted on nor passed over.
 *
 * @throws {X509Error} X509_DER
 */
export function commonNamesOf(subject: Uint8Array): readonly string[] {
  const names: string[] = [];
  const relativeNames = readSequence(subject);
  while (!relativeNames.isAtEnd) {
    const attributes = new DerReader(relativeNames.element(tag.set).content);
    while (!attributes.isAtEnd) {
      const attribute = attributes.sequence();
      const type = readObjectIdentifier(attribute.element(tag.objectIdentifier).content);
      const value = attribute.any();
      if (type !== oid.commonName) continue;
      const text = Buffer.from(value.content).toString("latin1");
      names.push(asciiTypes.has(value.tag) && /^[\x20-\x7e]*$/.test(text) ? text : "");
    }
  }
  return names;
}
