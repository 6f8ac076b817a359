import { X509Error } from "./errors.ts";

/** The labels of RFC 7468 that Herald reads and writes. */
export type PemLabel =
  | "CERTIFICATE"
  | "CERTIFICATE REQUEST"
  | "PRIVATE KEY"
  | "PUBLIC KEY"
  | "X509 CRL";

/** One block: base64 in lines of 64, ended by a line feed. The same bytes always give the same text (RFC 7468 2). */
export function toPem(label: PemLabel, der: Uint8Array): string {
  const base64 = Buffer.from(der).toString("base64");
  const lines = base64.match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join("\n")}\n-----END ${label}-----\n`;
}

/** A chain or a bundle, one block per certificate: Envoy refuses a chain within one block (EF-41). */
export function certificatesToPem(certificates: readonly Uint8Array[]): string {
  return certificates.map((der) => toPem("CERTIFICATE", der)).join("");
}

/** One block per CRL. */
export function crlsToPem(crls: readonly Uint8Array[]): string {
  return crls.map((der) => toPem("X509 CRL", der)).join("");
}

const block = /-----BEGIN ([A-Z0-9 ]+)-----\s([A-Za-z0-9+/=\s]*)-----END ([A-Z0-9 ]+)-----/g;

/**
 * The DER of every block with this label, in order; text between blocks is skipped, as RFC 7468 2 lets files carry notes.
 * @throws {X509Error} X509_PEM when there is none, or a block has another label or no proper base64
 */
export function parsePem(label: PemLabel, text: string): readonly Uint8Array[] {
  const blocks = [...text.matchAll(block)];
  // A block that the pattern passes over would be dropped in silence; a root missing from a bundle must be told.
  if (blocks.length === 0 || blocks.length !== text.split("-----BEGIN ").length - 1) {
    throw new X509Error(
      "X509_PEM",
      `PEM: has no complete ${label} block, or a damaged one; check the file`,
    );
  }
  return blocks.map((found) => decodeBlock(label, found));
}

function decodeBlock(label: PemLabel, found: RegExpMatchArray): Uint8Array {
  const [, begin, body = "", end] = found;
  if (begin !== label || end !== label) {
    throw new X509Error("X509_PEM", `PEM: holds a block that is not ${label}; remove it`);
  }
  const base64 = body.replaceAll(/\s/g, "");
  const der = Buffer.from(base64, "base64");
  // Buffer skips what is not base64, so only the way back shows that all of it was read.
  if (der.length === 0 || der.toString("base64") !== base64) {
    throw new X509Error(
      "X509_PEM",
      `PEM: a ${label} block is not proper base64; copy the file again`,
    );
  }
  return new Uint8Array(der);
}
