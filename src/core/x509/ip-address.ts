import { X509Error } from "./errors.ts";

/**
 * An IP address as an iPAddress name holds it: 4 or 16 bytes (RFC 5280 4.2.1.6). Written here because core does no I/O,
 * and Node's own parser lives in node:net.
 * @throws {X509Error} X509_NAME
 */
export function ipAddressBytes(text: string): Uint8Array {
  const bytes = text.includes(":") ? version6(text) : version4(text);
  if (bytes === undefined) {
    throw new X509Error(
      "X509_NAME",
      "IP address: is neither IPv4 nor IPv6; write 127.0.0.1 or ::1",
    );
  }
  return Uint8Array.from(bytes);
}

function version4(text: string): readonly number[] | undefined {
  const parts = text.split(".");
  // A leading zero would be octal to some readers (RFC 6943 3.1.1), so there is none.
  const isGood = parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) < 256);
  return parts.length === 4 && isGood ? parts.map(Number) : undefined;
}

function version6(text: string): readonly number[] | undefined {
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const [head, tail] = halves.map(groups);
  if (head === undefined) return undefined;
  if (halves.length === 1) return head.length === 16 ? head : undefined;
  // "::" stands for at least one group of zeros (RFC 4291 2.2).
  if (tail === undefined || head.length + tail.length > 14) return undefined;
  return [...head, ...Array<number>(16 - head.length - tail.length).fill(0), ...tail];
}

function groups(text: string): readonly number[] | undefined {
  if (text === "") return [];
  const parts = text.split(":");
  if (!parts.every((part) => /^[0-9a-fA-F]{1,4}$/.test(part))) return undefined;
  return parts
    .map((part) => Number.parseInt(part, 16))
    .flatMap((group) => [group >> 8, group & 0xff]);
}
