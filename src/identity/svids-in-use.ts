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

/** The authorities of a node's SVIDs: of those that live, by their serials, and of those that are asked for and may come at any moment. */
export class SvidAuthorities {
  readonly #bySerial = new Map<string, { readonly authority: string; readonly until: number }>();
  #asked: readonly SvidUse[] = [];

  /** Under way: the authority that signs them is the one that is known to now, or a later one. */
  asks(
    due: readonly { readonly id: string; readonly x509TtlSeconds: number }[],
    authority: string,
    now: number,
  ): void {
    this.#asked = due.map(({ id, x509TtlSeconds }) => ({
      serial: `asked ${id}`,
      authority,
      until: now + x509TtlSeconds * 1000,
    }));
  }

  /** What was asked for has come, or will not. */
  answered(now: number): void {
    this.#asked = [];
    for (const [serial, { until }] of this.#bySerial)
      if (until <= now) this.#bySerial.delete(serial);
  }

  keep({ serial, authority, until }: SvidUse): void {
    this.#bySerial.set(serial, { authority, until });
  }

  get asked(): readonly SvidUse[] {
    return this.#asked;
  }

  /** Empty for an SVID that is long gone. */
  of(serial: string): string {
    return this.#bySerial.get(serial)?.authority ?? "";
  }
}
