import { tag } from "./der-tag.ts";
import { X509Error } from "./errors.ts";

/** One element: tag, minimal length, then the parts one after another. */
export function element(tagByte: number, ...parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const lengthBytes = sizeOfLength(length);
  // From Node's pool, and then written from the first byte to the last: beyond 64 bytes an array of its own costs ten times as much.
  const out = Buffer.allocUnsafe(1 + lengthBytes + length);
  out[0] = tagByte;
  writeLength(out, length, lengthBytes);
  let at = 1 + lengthBytes;
  for (const part of parts) {
    copy(part, out, at);
    at += part.length;
  }
  return out;
}

/** Below this a loop is done before set() has begun. */
const shortPart = 24;

function copy(part: Uint8Array, out: Uint8Array, from: number): void {
  if (part.length > shortPart) out.set(part, from);
  else for (let at = 0; at < part.length; at += 1) out[from + at] = part[at] ?? 0;
}

/** SEQUENCE of the given elements. */
export function sequence(...parts: readonly Uint8Array[]): Uint8Array {
  return element(tag.sequence, ...parts);
}

/** A non-negative INTEGER from big-endian bytes: leading zeros go, a sign byte comes where the top bit is set (X.690 8.3.2). */
export function unsignedInteger(bytes: Uint8Array): Uint8Array {
  let from = 0;
  while (from < bytes.length - 1 && bytes[from] === 0) from += 1;
  const digits = bytes.length === 0 ? Uint8Array.of(0) : bytes.subarray(from);
  const needsSign = ((digits[0] ?? 0) & 0x80) !== 0;
  return needsSign ? element(tag.integer, Uint8Array.of(0), digits) : element(tag.integer, digits);
}

/** BIT STRING of whole bytes. */
export function bitString(bytes: Uint8Array): Uint8Array {
  return element(tag.bitString, Uint8Array.of(0), bytes);
}

/** OCTET STRING of the given parts, joined. */
export function octetString(...parts: readonly Uint8Array[]): Uint8Array {
  return element(tag.octetString, ...parts);
}

/** BOOLEAN TRUE; FALSE is never written, for it is always the DEFAULT (X.690 11.5). */
export const derTrue: Uint8Array = element(tag.boolean, Uint8Array.of(0xff));

/** UTF8String. */
export function utf8String(text: string): Uint8Array {
  return element(tag.utf8String, Buffer.from(text, "utf8"));
}

/** OBJECT IDENTIFIER from its dotted form; for constants of this folder, so the form is not checked again. */
export function objectIdentifier(dotted: string): Uint8Array {
  const arcs = dotted.split(".").map(Number);
  const [first = 0, second = 0, ...rest] = arcs;
  const bytes = [first * 40 + second, ...rest].flatMap(base128);
  return element(tag.objectIdentifier, Uint8Array.from(bytes));
}

/**
 * The bits of a named bit list, such as KeyUsage: bit 0 is the first, and trailing zero bits are left out (X.690 11.2.2).
 * At most eight bits, which is all that Herald sets.
 */
export function namedBits(bits: readonly number[]): Uint8Array {
  let byte = 0;
  for (const bit of bits) byte |= 0x80 >> bit;
  const unused = 7 - Math.max(...bits);
  return element(tag.bitString, Uint8Array.of(unused, byte));
}

/** 2050-01-01T00:00:00Z: from then on RFC 5280 4.1.2.5 wants GeneralizedTime, before it UTCTime. */
const generalizedFrom = 2_524_608_000_000;
const year10000 = 253_402_300_800_000;

/**
 * A certificate's Time; fractions of a second are cut off (RFC 5280 4.1.2.5 has no place for them).
 * @throws {X509Error} X509_TIME outside of 1970 to 9999
 */
export function time(ms: number): Uint8Array {
  if (!(ms >= 0 && ms < year10000)) {
    throw new X509Error(
      "X509_TIME",
      "time: is not between the years 1970 and 9999; correct the clock",
    );
  }
  const date = new Date(ms);
  const isUtc = ms < generalizedFrom;
  const year = date.getUTCFullYear();
  const pairs = [
    ...(isUtc ? [] : [Math.floor(year / 100)]),
    year % 100,
    date.getUTCMonth() + 1,
    date.getUTCDate(),
    date.getUTCHours(),
    date.getUTCMinutes(),
    date.getUTCSeconds(),
  ];
  const text = new Uint8Array(pairs.length * 2 + 1);
  for (const [index, pair] of pairs.entries()) {
    text[index * 2] = 0x30 + Math.floor(pair / 10);
    text[index * 2 + 1] = 0x30 + (pair % 10);
  }
  text[text.length - 1] = 0x5a; // Z
  return element(isUtc ? tag.utcTime : tag.generalizedTime, text);
}

function base128(value: number): number[] {
  const bytes = [value % 128];
  for (let rest = Math.floor(value / 128); rest > 0; rest = Math.floor(rest / 128)) {
    bytes.unshift((rest % 128) | 0x80);
  }
  return bytes;
}

function sizeOfLength(length: number): number {
  if (length < 0x80) return 1;
  if (length < 0x100) return 2;
  if (length < 0x10000) return 3;
  return length < 0x1000000 ? 4 : 5;
}

function writeLength(out: Uint8Array, length: number, size: number): void {
  if (size === 1) {
    out[1] = length;
    return;
  }
  out[1] = 0x80 | (size - 1);
  for (let at = size, rest = length; at > 1; at -= 1, rest = Math.floor(rest / 256)) {
    out[at] = rest % 256;
  }
}
