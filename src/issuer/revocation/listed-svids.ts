import type { CrlReason } from "../../core/x509/crl-writer.ts";
import type { LedgerSvid, SvidFilter, SvidKind } from "./ledger.ts";
import type { Revoked } from "./revoked-list.ts";

/** An SVID as operators see it. What is not known of a revoked one is empty, or 0. */
export interface ListedSvid extends Omit<LedgerSvid, "kind"> {
  readonly kind: SvidKind | "";
  /** Milliseconds since the epoch; 0 when it is not revoked. */
  readonly revokedAt: number;
  /** Empty when it is not revoked. */
  readonly reason: CrlReason | "";
}

/** Part of a list. */
export interface ListedPage {
  readonly svids: readonly ListedSvid[];
  /** Where the next page begins; undefined after the last. */
  readonly next: string | undefined;
}

/** What the ledger and the list of revoked ones know of the same SVID. */
export function listedSvid(svid: LedgerSvid, revoked: Revoked | undefined): ListedSvid {
  return { ...svid, revokedAt: revoked?.at ?? 0, reason: revoked?.reason ?? "" };
}

/** A revoked SVID; `svid` is absent when it has ended, or was never known. */
export function listedRevoked(revoked: Revoked, svid: LedgerSvid | undefined): ListedSvid {
  if (svid !== undefined) return listedSvid(svid, revoked);
  const { serial, authority, notAfter, at, reason } = revoked;
  const unknown = { spiffeId: "", node: "", entry: "", kind: "", issuedAt: 0 } as const;
  return { serial, authority, notAfter, ...unknown, revokedAt: at, reason };
}

/** Some of the revoked ones that fit, newest revocation first, from where the page before ended. */
export function revokedPage(
  svids: readonly ListedSvid[],
  filter: SvidFilter,
  part: { readonly limit: number; readonly from: string },
): ListedPage {
  const fitting = svids
    .filter((svid) => fits(svid, filter) && (part.from === "" || cursorOf(svid) > part.from))
    .toSorted((a, b) => (cursorOf(a) < cursorOf(b) ? -1 : 1));
  const shown = fitting.slice(0, part.limit);
  const last = shown.at(-1);
  return {
    svids: shown,
    next: fitting.length > shown.length && last !== undefined ? cursorOf(last) : undefined,
  };
}

function fits(svid: ListedSvid, filter: SvidFilter): boolean {
  return (Object.keys(filter) as (keyof SvidFilter)[]).every(
    (name) => filter[name] === undefined || filter[name] === svid[name],
  );
}

/** Grows as the time of revocation falls, so that text compares as the list is sorted. */
function cursorOf({ revokedAt, serial }: ListedSvid): string {
  return `${String(Number.MAX_SAFE_INTEGER - revokedAt)}.${serial}`;
}
