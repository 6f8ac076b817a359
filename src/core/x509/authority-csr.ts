import type { TrustDomain } from "../spiffe/spiffe-id.ts";
import { authorityProfile, commonNameOf } from "./authority.ts";
import { contextTag, tag } from "./der-tag.ts";
import { bitString, element, objectIdentifier, sequence, unsignedInteger } from "./der-writer.ts";
import { oid } from "./oid.ts";
import { keyIdOf } from "./public-key.ts";
import { algorithmIdentifier } from "./signature-algorithm.ts";
import type { Signer } from "./signer.ts";

/**
 * A PKCS#10 request (RFC 2986) for an authority's certificate, DER. It asks for what {@link authorityProfile} says; upstreams
 * that go by their own templates take the key, the name and the SPIFFE ID from it.
 * @throws {X509Error} X509_NAME
 */
export async function authorityCsr(fields: {
  readonly signer: Signer;
  readonly trustDomain: TrustDomain;
  readonly commonName: string;
}): Promise<Uint8Array> {
  const { signer, commonName } = fields;
  const extensions = sequence(...authorityProfile(fields, keyIdOf(signer.spki)));
  const request = sequence(objectIdentifier(oid.extensionRequest), element(tag.set, extensions));
  const information = sequence(
    unsignedInteger(Uint8Array.of(0)),
    sequence(commonNameOf(commonName)),
    signer.spki,
    element(contextTag(0), request),
  );
  const signature = await signer.sign(information);
  return sequence(information, algorithmIdentifier(signer.algorithm), bitString(signature));
}
