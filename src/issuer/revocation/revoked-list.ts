import type { RevokedRow, RevokedState } from "../../core/envelope/payloads.ts";
import { type CrlReason, crlReasons } from "../../core/x509/crl-writer.ts";

/** What is revoked, by authority; kept as it is written. */
export type RevokedList = RevokedState["authorities"];

/** One revoked SVID. */
export interface Revoked {
  /** Lower-case hex. */
  readonly serial: string;
  readonly authority: string;
  readonly reason: CrlReason;
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** Its end, or no earlier than that; milliseconds since the epoch. */
  readonly notAfter: number;
}

/** A revoked serial is told of for this long after its end: for verifiers whose clocks run behind, and for whoever looks at a CRL late. */
const keptAfterEndMs = 3_600_000;

/** With these added. What is revoked stays as it was revoked first. */
export function withRevoked(list: RevokedList, added: readonly Revoked[]): RevokedList {
  const known = serialsOf(list);
  if (added.every(({ serial }) => known.has(serial))) return list;
  const grown = new Map(Object.entries(list));
  for (const { serial, authority, at, notAfter, reason } of added) {
    if (known.has(serial)) continue;
    known.add(serial);
    const row: RevokedRow = [serial, seconds(at), Math.ceil(notAfter / 1000), crlReasons[reason]];
    grown.set(authority, [...(grown.get(authority) ?? []), row]);
  }
  return Object.fromEntries(grown);
}

/**
 * Without what nobody has to be told of any more: `told(authority)` is when the last CRL of that authority was made, and a serial leaves only
 * after one that was made past its end (RFC 5280 3.3).
 */
export function withoutEnded(
  list: RevokedList,
  told: (authority: string) => number | undefined,
): RevokedList {
  const kept = Object.entries(list).flatMap(([authority, rows]) => {
    const at = told(authority);
    const left = at === undefined ? rows : rows.filter((row) => !isEnded(row, at));
    return left.length === 0 ? [] : [[authority, left] as const];
  });
  const left = Object.fromEntries(kept);
  return countOf(left) === countOf(list) ? list : left;
}

/** Does it hold something that will leave it? */
export function hasEnded(list: RevokedList, now: number): boolean {
  return Object.values(list).some((rows) => rows.some((row) => isEnded(row, now)));
}

export function countOf(list: RevokedList): number {
  return Object.values(list).reduce((sum, rows) => sum + rows.length, 0);
}

export function serialsOf(list: RevokedList): Set<string> {
  return new Set(Object.values(list).flatMap((rows) => rows.map(([serial]) => serial)));
}

/** Its rows with their names. */
export function revokedIn(list: RevokedList): readonly Revoked[] {
  return Object.entries(list).flatMap(([authority, rows]) =>
    rows.map(([serial, at, notAfter, reason]) => ({
      serial,
      authority,
      reason: reasonName(reason),
      at: at * 1000,
      notAfter: notAfter * 1000,
    })),
  );
}

function isEnded([, , notAfter]: RevokedRow, now: number): boolean {
  return notAfter * 1000 + keptAfterEndMs < now;
}

const reasons = new Map(
  (Object.keys(crlReasons) as CrlReason[]).map((name) => [crlReasons[name] as number, name]),
);

/** A number that this version does not know was written by a later one; the serial counts all the same. */
function reasonName(number: number): CrlReason {
  return reasons.get(number) ?? "unspecified";
}

function seconds(ms: number): number {
  return Math.floor(ms / 1000);
}
