import { hash } from "node:crypto";

/** DSSE's pre-authentication encoding: the exact bytes that are signed. https://github.com/secure-systems-lab/dsse/blob/master/protocol.md */
export function preAuthEncoding(payloadType: string, payload: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(headOf(payloadType, payload.byteLength), "utf8"), payload]);
}

/** The same of a payload that is still text, with a window onto the payload in it: a payload of some ten thousand bytes is written once. */
export function encodedText(
  payloadType: string,
  payload: string,
  encoding: "utf8" | "base64",
): { readonly signed: Buffer; readonly payload: Buffer } {
  const length = Buffer.byteLength(payload, encoding);
  const head = headOf(payloadType, length);
  const from = Buffer.byteLength(head);
  const signed = Buffer.alloc(from + length);
  signed.write(head, 0, "utf8");
  signed.write(payload, from, encoding);
  return { signed, payload: signed.subarray(from) };
}

function headOf(payloadType: string, length: number): string {
  return `DSSEv1 ${Buffer.byteLength(payloadType)} ${payloadType} ${length} `;
}

/** SHA-256 in lower-case hex. */
export function sha256Hex(bytes: Uint8Array): string {
  return hash("sha256", bytes, "hex");
}

/** A key's id: the SHA-256 of its SubjectPublicKeyInfo. The control root's is the trust domain's pin. */
export function keyIdOf(spki: Uint8Array): string {
  return sha256Hex(spki);
}
