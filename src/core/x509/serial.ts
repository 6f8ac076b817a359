import { unsignedInteger } from "./der-writer.ts";
import { X509Error } from "./errors.ts";

/** RFC 5280 4.1.2.2: a serial's DER content has at most 20 octets, sign byte included. */
const longestSerial = 20;

/** XSVID-26: at least 64 bits, so that nobody can guess what will be signed next. */
const shortestSerial = 8;

/**
 * A serial as people write it: hex with or without colons, upper or lower case, as `openssl x509 -serial` and browsers show it. Gives it as
 * `Certificate.serial` has it.
 * @throws {X509Error} X509_SERIAL
 */
export function parseSerial(text: string): string {
  const digits = text
    .trim()
    .replace(/^(?:serial=|0x)/i, "")
    .replaceAll(":", "")
    .toLowerCase();
  const hex = digits.padStart(digits.length + (digits.length % 2), "0").replace(/^(?:00)+/, "");
  if (!/^(?:[0-9a-f]{2}){8,20}$/.test(hex)) {
    throw new X509Error(
      "X509_SERIAL",
      `serial: ${JSON.stringify(text.slice(0, 64))} is not 8 to 20 bytes in hex; \`openssl x509 -noout -serial\` shows it`,
    );
  }
  return hex;
}

/**
 * The serialNumber INTEGER; positive by its sign byte.
 * @throws {X509Error} X509_SERIAL when it is not 8 to 20 octets long without leading zeros
 */
export function serialInteger(serial: Uint8Array): Uint8Array {
  const integer = unsignedInteger(serial);
  const octets = integer.length - 2;
  if (octets < shortestSerial || octets > longestSerial) {
    throw new X509Error(
      "X509_SERIAL",
      `serial: takes ${octets} octets, not ${shortestSerial} to ${longestSerial}; draw 16 random bytes whose first is not 0`,
    );
  }
  return integer;
}
