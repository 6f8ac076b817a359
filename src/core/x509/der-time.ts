import type { DerElement } from "./der-reader.ts";
import { tag } from "./der-tag.ts";
import { X509Error } from "./errors.ts";

const zulu = 0x5a;

const msIn400Years = 146_097 * 86_400_000;

/** Behind the year: month, day, hour, minute, second, two digits each, and the Z. */
const lengthBehindYear = 11;

/**
 * A certificate's Time in milliseconds since the epoch: seconds present, Zulu, no fraction (RFC 5280 4.1.2.5.1 and .2).
 * @throws {X509Error} X509_TIME
 */
export function readTime(element: DerElement): number {
  const text = element.content;
  const yearDigits = text.length - lengthBehindYear;
  const kind = yearDigits === 2 ? tag.utcTime : tag.generalizedTime;
  if ((yearDigits !== 2 && yearDigits !== 4) || element.tag !== kind || text.at(-1) !== zulu)
    throw malformed();
  const [hour, minute, second] = [
    twoDigits(text, yearDigits + 4),
    twoDigits(text, yearDigits + 6),
    twoDigits(text, yearDigits + 8),
  ];
  if (hour > 23 || minute > 59 || second > 59) throw malformed();
  const month = twoDigits(text, yearDigits);
  const day = twoDigits(text, yearDigits + 2);
  return (
    dayOf(readYear(text, yearDigits), month, day) + ((hour * 60 + minute) * 60 + second) * 1000
  );
}

function readYear(text: Uint8Array, digits: number): number {
  const first = twoDigits(text, 0);
  if (digits === 4) return first * 100 + twoDigits(text, 2);
  // RFC 5280 4.1.2.5.1: two digits from 50 on belong to the last century.
  return first + (first >= 50 ? 1900 : 2000);
}

const daysInMonth = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/** Midnight. */
function dayOf(year: number, month: number, day: number): number {
  const isLeap = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
  const days = (daysInMonth[month - 1] ?? 0) + (month === 2 && isLeap ? 1 : 0);
  if (day < 1 || day > days) throw malformed();
  // Date.UTC takes 0 to 99 for years of the 20th century; in 400 years every day comes round again.
  return Date.UTC(year + 400, month - 1, day) - msIn400Years;
}

function twoDigits(text: Uint8Array, at: number): number {
  const [tens, ones] = [(text[at] ?? 0) - 0x30, (text[at + 1] ?? 0) - 0x30];
  if (tens < 0 || tens > 9 || ones < 0 || ones > 9) throw malformed();
  return tens * 10 + ones;
}

function malformed(): X509Error {
  return new X509Error(
    "X509_TIME",
    "time: is not YYMMDDHHMMSSZ or YYYYMMDDHHMMSSZ with a real date; have the certificate issued anew",
  );
}
