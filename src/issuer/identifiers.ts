import { base32 } from "../core/envelope/object-keys.ts";
import type { Random } from "../kit/random.ts";

/** A fresh name for an entry, a token, an authority: 80 bits of chance, safe in subjects, keys and file names. */
export function newId(random: Random): string {
  return base32(random.bytes(10));
}

/** A certificate serial: positive, 127 bits of chance, 16 octets (XSVID-26; RFC 5280, section 4.1.2.2). */
export function newSerial(random: Random): Uint8Array {
  const serial = random.bytes(16);
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40;
  return serial;
}
