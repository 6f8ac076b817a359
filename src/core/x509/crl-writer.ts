import type { Certificate } from "./certificate.ts";
import { contextTag } from "./der-tag.ts";
import { bitString, element, sequence, time, unsignedInteger } from "./der-writer.ts";
import { X509Error } from "./errors.ts";
import { authorityKeyIdentifier, crlNumber, reasonCode } from "./extension-writer.ts";
import { serialInteger } from "./serial.ts";
import { algorithmIdentifier } from "./signature-algorithm.ts";
import type { Signer } from "./signer.ts";

/**
 * Why a certificate counts no more, with the number of its CRLReason (RFC 5280 5.3.1). Those of CAs are left out, for an authority is
 * taken out of the bundle instead, and so is certificateHold: what Herald revokes stays revoked.
 */
export const crlReasons = {
  unspecified: 0,
  keyCompromise: 1,
  affiliationChanged: 3,
  superseded: 4,
  cessationOfOperation: 5,
  privilegeWithdrawn: 9,
} as const;

/** One of {@link crlReasons}, by name. */
export type CrlReason = keyof typeof crlReasons;

/** One line of a CRL. */
export interface RevokedSerial {
  /** Lower-case hex, two digits a byte, as `Certificate.serial`. */
  readonly serial: string;
  /** When it was revoked; milliseconds since the epoch, cut to seconds. */
  readonly at: number;
  readonly reason: CrlReason;
}

/** What a CRL is made from. */
export interface CrlFields {
  /** Who issued the certificates, and signs. */
  readonly authority: Certificate;
  /** Greater than that of every CRL of this authority before. */
  readonly number: bigint;
  /** Milliseconds since the epoch; cut to seconds. Before it, verifiers refuse everybody. */
  readonly thisUpdate: number;
  /** Milliseconds since the epoch; cut to seconds. From it on, verifiers refuse everybody (EF-21). */
  readonly nextUpdate: number;
  /** In any order; each serial once. */
  readonly revoked: readonly RevokedSerial[];
}

/** Version 2, the one with extensions (RFC 5280 5.1.2.1). */
const version2 = unsignedInteger(Uint8Array.of(1));

/**
 * The complete CRL of one authority, DER: the entries sorted by serial, so that the same facts make the same signed bytes.
 * @throws {X509Error} X509_AUTHORITY when `signer` is not the authority's key or it may sign no CRLs; X509_CRL for dates or serials that make
 * no CRL; X509_SERIAL, X509_TIME
 */
export async function createCrl(fields: CrlFields, signer: Signer): Promise<Uint8Array> {
  const { authority, thisUpdate, nextUpdate } = fields;
  const keyId = signingKeyId(authority, signer);
  if (wholeSeconds(nextUpdate) <= wholeSeconds(thisUpdate))
    throw malformed("nextUpdate: is not after thisUpdate; correct the clock");
  const algorithm = algorithmIdentifier(signer.algorithm);
  const entries = sorted(fields.revoked).map(entryOf);
  const toBeSigned = sequence(
    version2,
    algorithm,
    authority.subject,
    time(thisUpdate),
    time(nextUpdate),
    // RFC 5280 5.1.2.6: absent when nothing is revoked, for an empty list is no list.
    ...(entries.length === 0 ? [] : [sequence(...entries)]),
    element(
      contextTag(0),
      sequence(authorityKeyIdentifier(Buffer.from(keyId, "hex")), crlNumber(fields.number)),
    ),
  );
  return sequence(toBeSigned, algorithm, bitString(await signer.sign(toBeSigned)));
}

function signingKeyId(authority: Certificate, signer: Signer): string {
  const { subjectKeyId, keyUsage, isCa, spki } = authority;
  if (!isCa || subjectKeyId === undefined || keyUsage?.bits.has("cRLSign") === false) {
    throw new X509Error(
      "X509_AUTHORITY",
      "authority: is no CA with a subjectKeyIdentifier that may sign CRLs; have it certified with keyUsage cRLSign",
    );
  }
  if (Buffer.compare(spki, signer.spki) !== 0)
    throw new X509Error("X509_AUTHORITY", "authority: has another key than the one that signs");
  return subjectKeyId;
}

function sorted(revoked: readonly RevokedSerial[]): readonly RevokedSerial[] {
  const list = revoked.toSorted(bySerial);
  const twice = list.find((one, at) => one.serial === list[at + 1]?.serial);
  if (twice !== undefined) throw malformed(`serial ${twice.serial}: is there twice; name it once`);
  return list;
}

function bySerial(a: RevokedSerial, b: RevokedSerial): number {
  if (a.serial === b.serial) return 0;
  return a.serial < b.serial ? -1 : 1;
}

/** The reason's extension is left out where it would say nothing (RFC 5280 5.3.1). */
function entryOf({ serial, at, reason }: RevokedSerial): Uint8Array {
  const number = serialInteger(Buffer.from(serial, "hex"));
  if (reason === "unspecified") return sequence(number, time(at));
  return sequence(number, time(at), sequence(reasonCode(crlReasons[reason])));
}

function wholeSeconds(ms: number): number {
  return Math.floor(ms / 1000);
}

function malformed(message: string): X509Error {
  return new X509Error("X509_CRL", message);
}
