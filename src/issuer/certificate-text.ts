import { createHash } from "node:crypto";
import type { Certificate } from "../core/x509/certificate.ts";
import { commonNamesOf } from "../core/x509/subject.ts";

/** Text with parts that a certificate fills in: `edge-{cn}`, `{uri:spiffe://corp.example/host/}`. */
export interface CertificateText {
  readonly parts: readonly Part[];
}

type Part =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "fingerprint" | "serial" | "cn" | "dns" }
  | { readonly kind: "uri"; readonly prefix: string };

/** Undefined for what is no such text. */
export function parseCertificateText(text: string): CertificateText | undefined {
  const parts = text.split(/(\{[^{}]*\})/).filter((part) => part !== "");
  const parsed = parts.map(parsePart);
  const whole = parsed.flatMap((part) => (part === undefined ? [] : [part]));
  return whole.length === parts.length ? { parts: whole } : undefined;
}

/** How many parts the certificate fills in. */
export function variablesOf({ parts }: CertificateText): number {
  return parts.filter(({ kind }) => kind !== "text").length;
}

/** The text for one certificate; undefined where it lacks a part, or has it twice: nobody could say which one is meant. */
export function fillIn({ parts }: CertificateText, leaf: Certificate): string | undefined {
  const filled = parts.map((part) => valueOf(part, leaf));
  return filled.some((value) => value === undefined || value === "") ? undefined : filled.join("");
}

/** SHA-256 of a certificate, DER, in hex. */
export function fingerprintOf(der: Uint8Array): string {
  return createHash("sha256").update(der).digest("hex");
}

function parsePart(part: string): Part | undefined {
  if (!part.startsWith("{")) return /[{}]/.test(part) ? undefined : { kind: "text", text: part };
  const name = part.slice(1, -1);
  switch (name) {
    case "fingerprint":
    case "serial":
    case "cn":
    case "dns":
      return { kind: name };
    default:
      return name.startsWith("uri:") && name.length > 4
        ? { kind: "uri", prefix: name.slice(4) }
        : undefined;
  }
}

function valueOf(part: Part, leaf: Certificate): string | undefined {
  switch (part.kind) {
    case "text":
      return part.text;
    case "fingerprint":
      return fingerprintOf(leaf.der);
    case "serial":
      return leaf.serial;
    case "cn":
      return only(commonNamesOf(leaf.subject));
    case "dns":
      return only(leaf.dnsNames);
    case "uri":
      return only(leaf.uris.filter((uri) => uri.startsWith(part.prefix)))?.slice(
        part.prefix.length,
      );
  }
}

function only(values: readonly string[]): string | undefined {
  return values.length === 1 ? values[0] : undefined;
}
