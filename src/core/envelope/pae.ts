import { hash } from "node:crypto";

/** DSSE's pre-authentication encoding: the exact bytes that are signed. https://github.com/secure-systems-lab/dsse/blob/master/protocol.md */
export function preAuthEncoding(payloadType: string, payload: Uint8Array): Buffer {
  const head = `DSSEv1 ${Buffer.byteLength(payloadType)} ${payloadType} ${payload.byteLength} `;
  return Buffer.concat([Buffer.from(head, "utf8"), payload]);
}

/** SHA-256 in lower-case hex. */
export function sha256Hex(bytes: Uint8Array): string {
  return hash("sha256", bytes, "hex");
}

/** A key's id: the SHA-256 of its SubjectPublicKeyInfo. The control root's is the trust domain's pin. */
export function keyIdOf(spki: Uint8Array): string {
  return sha256Hex(spki);
}
