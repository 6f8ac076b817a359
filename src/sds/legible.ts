/** Longest text of a client's that is repeated in a log or a status. */
const maxLength = 512;

/** A client's own words, fit for a log: without control characters and not endless (XDS-16). */
export function legible(text: string): string {
  const clean = text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, "?");
  return clean.length <= maxLength ? clean : `${clean.slice(0, maxLength)}...`;
}
