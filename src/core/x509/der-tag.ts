/** DER identifier octets (X.690 8.1.2); every one that X.509 needs fits a single byte. */
export const tag = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  objectIdentifier: 0x06,
  enumerated: 0x0a,
  utf8String: 0x0c,
  printableString: 0x13,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

/** `[n]` around another element: context class, constructed. */
export function contextTag(number: number): number {
  return 0xa0 | number;
}

/** `[n]` in place of a simple element: context class, primitive. */
export function implicitTag(number: number): number {
  return 0x80 | number;
}
