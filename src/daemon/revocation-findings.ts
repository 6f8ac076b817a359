import type { Finding } from "../events/bus.ts";
import type { Issuer } from "../issuer/issuer.ts";

/** What `herald doctor` tells of revocations. */
export function revocationFindings(
  { svids }: Pick<Issuer, "svids">,
  now: number,
): readonly Finding[] {
  const { crls, stale, uncovered } = svids.revocations.status();
  const gaps = [...uncovered, ...stale].map(({ authority, reason }) => `${authority}: ${reason}`);
  const ends = crls.map(({ nextUpdate }) => Math.floor((nextUpdate - now) / 3_600_000));
  const revoked = svids.revoked().length;
  return [
    {
      check: "CRLs",
      ok: gaps.length === 0,
      detail:
        gaps.length > 0
          ? `${uncovered.length > 0 ? "none is published" : "the last one stands in"}, of authority ${gaps.join("; ")}`
          : crls.length === 0
            ? "nothing is revoked"
            : `${revoked} SVIDs are revoked; ${crls.length} CRLs, the first ends in ${Math.min(...ends)} h and is made anew before`,
      ...(gaps.length === 0
        ? {}
        : { cure: "mend the key, or take the authority out of the bundle: herald ca rotate" }),
    },
    {
      check: "issued SVIDs",
      ok: svids.history === "reading" ? "unknown" : svids.history === "whole",
      detail: histories[svids.history],
      ...(svids.history === "gap"
        ? { cure: "revoke by serial what `herald svid list` lacks; see the log" }
        : {}),
    },
  ];
}

const histories = {
  whole: "every live SVID is known",
  reading: "the audit stream is being read back",
  gap: "the audit stream has lost records: SVIDs that they tell of are not in `herald svid list`",
} as const;
