import { History, type RevokeSvidsResponse, type Svid } from "../wire/herald/v1/svids.ts";
import { isoOrNull, printMoment } from "./moment.ts";
import { facts, table } from "./table.ts";

/** As many serials as anybody reads; `--json` has all. */
const mostShown = 50;

/** SVIDs, one a line. */
export function printSvids(svids: readonly Svid[], now: number): string {
  return table(
    ["SERIAL", "SPIFFE ID", "NODE", "ENTRY", "EXPIRES", "REVOKED"],
    svids.map((svid) => [
      svid.serial,
      orDash(svid.spiffeId),
      orDash(svid.node),
      orDash(svid.entry),
      printMoment(svid.notAfter, now),
      svid.revokedAt === 0n ? "-" : `${svid.reason}, ${printMoment(svid.revokedAt, now)}`,
    ]),
  );
}

/** Everything about one. */
export function printSvid(svid: Svid, now: number): string {
  return facts([
    ["serial", svid.serial],
    ["SPIFFE ID", orDash(svid.spiffeId)],
    ["made for", orDash(svid.kind)],
    ["node", orDash(svid.node)],
    ["entry", orDash(svid.entry)],
    ["authority", svid.authority],
    ["issued", printMoment(svid.issuedAt, now)],
    ["expires", printMoment(svid.notAfter, now)],
    [
      "revoked",
      svid.revokedAt === 0n ? "no" : `${svid.reason}, ${printMoment(svid.revokedAt, now)}`,
    ],
  ]);
}

/** What came of an order to revoke, and what it does not do. */
export function printRevoked(answer: RevokeSvidsResponse, now: number): string {
  const { revoked, already, unenforced, history } = answer;
  const shown = revoked.slice(0, mostShown);
  const rest = revoked.length - shown.length;
  return [
    `revoked ${count(revoked.length)}${already.length === 0 ? "" : `; ${count(already.length)} had been revoked before`}\n`,
    shown.length === 0 ? "" : printSvids(shown, now),
    rest === 0 ? "" : `and ${rest} more; --json has all\n`,
    ...unenforced.map(
      ({ authority, reason }) =>
        `NOT ENFORCED: no CRL says so, for that of authority ${authority} cannot be made (${reason}); herald ca rotate takes the authority out of use\n`,
    ),
    historyNote(history),
    "What is asked for anew is signed as before: `herald entry delete` or `herald node ban` ends that.\n",
  ].join("");
}

/** What may be missing of a list. */
export function historyNote(history: History): string {
  if (history === History.READING)
    return "The issuer is still reading back what it issued before its start: what turns up is treated alike, as long as it runs.\n";
  if (history === History.GAP)
    return "The audit stream has lost records: there may be live SVIDs that are not listed; revoke those by serial.\n";
  return "";
}

/** Times in ISO 8601; null for none. */
export function svidJson(svid: Svid): unknown {
  return {
    ...svid,
    issuedAt: isoOrNull(svid.issuedAt),
    notAfter: isoOrNull(svid.notAfter),
    revokedAt: isoOrNull(svid.revokedAt),
  };
}

/** `whole`, `reading` or `gap`. */
export function historyJson(history: History): string {
  return history === History.WHOLE ? "whole" : history === History.READING ? "reading" : "gap";
}

function count(svids: number): string {
  return svids === 1 ? "1 SVID" : `${svids} SVIDs`;
}

function orDash(text: string): string {
  return text === "" ? "-" : text;
}
