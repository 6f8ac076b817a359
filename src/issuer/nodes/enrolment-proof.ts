import { createPublicKey, type KeyObject } from "node:crypto";
import { readCsr } from "../../core/x509/csr.ts";
import { ecAlgorithmOf } from "../../core/x509/public-key.ts";
import { reasonOf } from "../../kit/errors.ts";
import { Refusal } from "../requests.ts";

/** The public key of a node's CSR that proves to hold it: all that is taken from it. On P-256, since it signs requests as well (ES256). @throws Refusal CSR_INVALID */
export function proveCsr(csr: string): Uint8Array {
  const spki = keyOf(csr);
  if (ecAlgorithmOf(spki) === "ecdsa-p256-sha256") return spki;
  throw new Refusal("CSR_INVALID", "CSR: a node's own key is on P-256; make such a key");
}

function keyOf(csr: string): Uint8Array {
  try {
    return readCsr(Buffer.from(csr, "base64")).spki;
  } catch (cause) {
    throw new Refusal("CSR_INVALID", reasonOf(cause), { cause });
  }
}

/** The key that secrets in the reply are sealed to. @throws Refusal CSR_INVALID */
export function sealingKeyOf(spki: string): KeyObject {
  try {
    const key = createPublicKey({ key: Buffer.from(spki, "base64"), format: "der", type: "spki" });
    if (key.asymmetricKeyType !== "x25519") throw new RangeError("key is not on X25519");
    return key;
  } catch (cause) {
    throw new Refusal("CSR_INVALID", "sealingKey is not an X25519 public key", { cause });
  }
}
