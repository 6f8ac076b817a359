import type { DerElement } from "./der-reader.ts";
import { tag } from "./der-tag.ts";
import { X509Error } from "./errors.ts";

const pattern = /^(\d\d)?(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/;

/**
 * A certificate's Time in milliseconds since the epoch: seconds present, Zulu, no fraction (RFC 5280 4.1.2.5.1 and .2).
 * @throws {X509Error} X509_TIME
 */
export function readTime(element: DerElement): number {
  const text = Buffer.from(element.content).toString("latin1");
  const fields = pattern.exec(text);
  if (fields === null) throw malformed();
  const [, century, year = "", month, day, hour, minute, second] = fields;
  // A text with a century is GeneralizedTime, one without is UTCTime; the tag must say the same.
  if (element.tag !== (century === undefined ? tag.utcTime : tag.generalizedTime))
    throw malformed();
  // RFC 5280 4.1.2.5.1: two digits from 50 on belong to the last century.
  const fullYear = `${century ?? (Number(year) >= 50 ? "19" : "20")}${year}`;
  const ms = Date.parse(`${fullYear}-${month}-${day}T${hour}:${minute}:${second}Z`);
  // Date.parse rolls 31 February over into March, and 24:00 into the next day; a date that changes was none.
  if (
    Number.isNaN(ms) ||
    !new Date(ms).toISOString().startsWith(`${fullYear}-${month}-${day}T${hour}`)
  ) {
    throw malformed();
  }
  return ms;
}

function malformed(): X509Error {
  return new X509Error(
    "X509_TIME",
    "time: is not YYMMDDHHMMSSZ or YYYYMMDDHHMMSSZ with a real date; have the certificate issued anew",
  );
}
