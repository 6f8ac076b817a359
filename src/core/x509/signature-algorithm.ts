import { objectIdentifier, sequence } from "./der-writer.ts";
import { oid } from "./oid.ts";
import type { SignatureAlgorithm } from "./signer.ts";

const identifiers: Readonly<Record<SignatureAlgorithm, Uint8Array>> = {
  "ecdsa-p256-sha256": sequence(objectIdentifier(oid.ecdsaWithSha256)),
  "ecdsa-p384-sha384": sequence(objectIdentifier(oid.ecdsaWithSha384)),
};

/** The AlgorithmIdentifier, DER; ECDSA's has no parameters, not even NULL (RFC 5758 3.2). */
export function algorithmIdentifier(algorithm: SignatureAlgorithm): Uint8Array {
  return identifiers[algorithm];
}
