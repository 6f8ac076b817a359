import type { SpiffeId } from "../spiffe/spiffe-id.ts";
import type { Certificate } from "./certificate.ts";
import { contextTag } from "./der-tag.ts";
import { bitString, element, sequence, time, unsignedInteger } from "./der-writer.ts";
import { X509Error } from "./errors.ts";
import {
  authorityKeyIdentifier,
  basicConstraints,
  extendedKeyUsage,
  keyUsage,
  subjectAltName,
  subjectKeyIdentifier,
} from "./extension-writer.ts";
import { oid } from "./oid.ts";
import { ecAlgorithmOf, keyIdOf } from "./public-key.ts";
import { serialInteger } from "./serial.ts";
import { algorithmIdentifier } from "./signature-algorithm.ts";

/** What changes from one SVID to the next. */
interface SvidFields {
  /** Big-endian; 8 to 20 octets (XSVID-26). */
  readonly serial: Uint8Array;
  /** The workload's public key, SubjectPublicKeyInfo in DER. */
  readonly spki: Uint8Array;
  readonly id: SpiffeId;
  /** From the entry, never from a CSR (XSVID-03). */
  readonly dnsNames: readonly string[];
  /** Milliseconds since the epoch; cut to seconds. */
  readonly notBefore: number;
  /** Milliseconds since the epoch; cut to seconds. */
  readonly notAfter: number;
}

/** Writes X.509-SVIDs of one authority. It decides nothing: core/svid/lint.ts reads what it wrote before anybody signs. */
export interface SvidTemplate {
  /** The TBSCertificate, DER. @throws {X509Error} X509_SERIAL, X509_TIME, X509_NAME, X509_DER */
  toBeSigned(fields: SvidFields): Uint8Array;
  /** The certificate, DER, from its signed part and the authority's ECDSA signature over it. */
  assemble(toBeSigned: Uint8Array, signature: Uint8Array): Uint8Array;
}

/** Version 3, the only one with extensions (RFC 5280 4.1.2.1). */
export const version3: Uint8Array = element(contextTag(0), unsignedInteger(Uint8Array.of(2)));

/** X509-SVID 3.1: the SPIFFE ID stands in the SAN; a subject would only be a second name to be misread. */
const emptySubject = sequence();

/** X509-SVID 4.1, 4.3, 4.4: not a CA; digitalSignature only, for keys on a curve never encipher; both TLS roles. */
const leafProfile: readonly Uint8Array[] = [
  keyUsage("digitalSignature"),
  extendedKeyUsage(oid.serverAuth, oid.clientAuth),
  basicConstraints(false),
];

/**
 * Prepares everything that all SVIDs of an authority have in common. Its own DER and not a library's, for this is the
 * path that a restart of a whole fleet runs through.
 * @throws {X509Error} X509_AUTHORITY when the certificate is no CA, has no key identifier or a key on another curve
 */
export function svidTemplate(authority: Certificate): SvidTemplate {
  const curve = ecAlgorithmOf(authority.spki);
  if (curve === undefined || !authority.isCa || authority.subjectKeyId === undefined) {
    throw new X509Error(
      "X509_AUTHORITY",
      "authority: is not a CA certificate on P-256 or P-384 with a subjectKeyIdentifier; make one by createAuthority",
    );
  }
  const algorithm = algorithmIdentifier(curve);
  const issuer = authority.subject;
  const profile = Buffer.concat([
    ...leafProfile,
    authorityKeyIdentifier(Buffer.from(authority.subjectKeyId, "hex")),
  ]);
  const validity = rememberedValidity();
  return {
    toBeSigned: (fields) =>
      sequence(
        version3,
        serialInteger(fields.serial),
        algorithm,
        issuer,
        validity(fields),
        emptySubject,
        fields.spki,
        element(
          contextTag(3),
          sequence(
            profile,
            subjectKeyIdentifier(keyIdOf(fields.spki)),
            subjectAltName({ uris: [fields.id], dnsNames: fields.dnsNames }, true),
          ),
        ),
      ),
    assemble: (toBeSigned, signature) => sequence(toBeSigned, algorithm, bitString(signature)),
  };
}

/** Writes a Validity, and keeps the last one: SVIDs of one second and one lifetime have the same. */
function rememberedValidity(): (fields: Pick<SvidFields, "notBefore" | "notAfter">) => Uint8Array {
  let from = Number.NaN;
  let to = Number.NaN;
  let written: Uint8Array = new Uint8Array();
  return ({ notBefore, notAfter }) => {
    if (Math.floor(notBefore / 1000) === from && Math.floor(notAfter / 1000) === to) return written;
    written = sequence(time(notBefore), time(notAfter));
    from = Math.floor(notBefore / 1000);
    to = Math.floor(notAfter / 1000);
    return written;
  };
}
