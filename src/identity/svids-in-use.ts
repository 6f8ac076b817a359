import type { AuthorityUse } from "../core/envelope/payloads.ts";

/** An SVID that somebody on this node holds, or may hold: its root must stay in the bundle until then. */
export interface SvidUse {
  /** The leaf's serial, lower-case hex; for SVIDs that are only asked for yet, any name of their own. */
  readonly serial: string;
  /** Subject key id of the authority that signed it, hex; empty when unknown. */
  readonly authority: string;
  /** Milliseconds since the epoch: its end, or when whoever was given a newer one has surely let go of it. */
  readonly until: number;
}

/** What an acknowledgement tells of them: one SVID in several places is one. */
export function authorityUses(uses: Iterable<SvidUse>, now: number): readonly AuthorityUse[] {
  const longest = new Map<string, SvidUse>();
  for (const use of uses) {
    if (use.until <= now || use.authority === "") continue;
    const name = `${use.authority} ${use.serial}`;
    if ((longest.get(name)?.until ?? 0) < use.until) longest.set(name, use);
  }
  const told = new Map<string, AuthorityUse>();
  for (const { authority, until } of longest.values()) {
    const known = told.get(authority);
    told.set(authority, {
      authority,
      svids: (known?.svids ?? 0) + 1,
      until: Math.max(known?.until ?? 0, until),
    });
  }
  return [...told.values()];
}

/** After a newer one came: what was given before is let go of by then. */
export function lettingGo(
  before: readonly SvidUse[],
  newest: SvidUse,
  by: number,
): readonly SvidUse[] {
  const older = before.filter(({ serial }) => serial !== newest.serial);
  return [...older.map((use) => ({ ...use, until: Math.min(use.until, by) })), newest];
}
