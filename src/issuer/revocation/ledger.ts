import type { AuditAction, AuditRecord } from "../../core/envelope/audit-payloads.ts";
import { LedgerNames } from "./ledger-names.ts";
import {
  type LedgerQuery,
  type LedgerRow,
  LedgerSegment,
  padded,
  segmentCapacity,
} from "./ledger-segment.ts";

/** For what an SVID was made: asked for by a caller, kept ready for one, a node's own, or minted by an operator. */
export type SvidKind = (typeof svidKinds)[number];

const svidKinds = ["caller", "kept-warm", "node", "minted"] as const;

/** A live SVID as the issuer knows it. */
export interface LedgerSvid {
  /** Lower-case hex. */
  readonly serial: string;
  readonly spiffeId: string;
  /** Empty when it was minted. */
  readonly node: string;
  /** Empty for a node's own, and when it was minted. */
  readonly entry: string;
  readonly authority: string;
  readonly kind: SvidKind;
  /** Milliseconds since the epoch, in whole seconds. */
  readonly issuedAt: number;
  /** Milliseconds since the epoch, in whole seconds. */
  readonly notAfter: number;
}

/** What SVIDs are wanted; all that is named must fit. */
export interface SvidFilter {
  readonly node?: string;
  readonly entry?: string;
  readonly spiffeId?: string;
  readonly authority?: string;
}

/** Part of a list. */
export interface SvidPage {
  readonly svids: readonly LedgerSvid[];
  /** Where the next page begins; undefined after the last. */
  readonly next: string | undefined;
}

/** How often the dead are looked for. */
const sweepEveryMs = 10_000;

/** A segment with fewer living than this is emptied into the newest. */
const fewLiving: number = segmentCapacity / 4;

/** Names are gone through when there are twice as many as after the last time, and this many more. */
const namesSlack = 4096;

/**
 * Every SVID that is alive now: what the audit chain says of issuances, without those that have ended. It is never stored: {@link Ledger.take}
 * hears each record as it is made, and {@link Ledger.takeAgain} reads them back after a start.
 */
export class Ledger {
  readonly #names = new LedgerNames();
  #segments: readonly LedgerSegment[] = [];
  #sweptAt = 0;
  #namesAfterSweep = 0;

  /** How many are kept, among them some that ended a moment ago. */
  get size(): number {
    return this.#segments.reduce((sum, segment) => sum + segment.size, 0);
  }

  /** Takes in a record of the audit chain that was just made. Gives the SVIDs that it issued. */
  take(record: Pick<AuditRecord, "at" | "action">, now: number): readonly LedgerSvid[] {
    const issued = issuedBy(record.action, record.at).filter((svid) => svid.notAfter >= now);
    for (const svid of issued) this.#add(svid);
    return issued;
  }

  /** Takes in a record that is read back, and may have been taken in before. Gives the SVIDs that it added. */
  takeAgain(record: Pick<AuditRecord, "at" | "action">, now: number): readonly LedgerSvid[] {
    const missing = issuedBy(record.action, record.at).filter(
      (svid) => svid.notAfter >= now && !this.#has(svid.serial),
    );
    for (const svid of missing) this.#add(svid);
    return missing;
  }

  find(serial: string, now: number): LedgerSvid | undefined {
    if (!/^(?:[0-9a-f]{2}){1,20}$/.test(serial)) return undefined;
    const key = padded(serial);
    for (const segment of this.#segments) {
      const at = segment.find(key);
      if (at < 0) continue;
      const svid = this.#shown(segment.row(at));
      return svid.notAfter < now ? undefined : svid;
    }
    return undefined;
  }

  /** All that fit. */
  list(filter: SvidFilter, now: number): readonly LedgerSvid[] {
    const query = this.#queryOf(filter);
    if (query === undefined) return [];
    const found: LedgerSvid[] = [];
    for (const segment of this.#segments)
      segment.visit(query, seconds(now), (at) => found.push(this.#shown(segment.row(at))));
    return found;
  }

  /** Some of those that fit, newest first, from where the page before ended. */
  page(
    filter: SvidFilter,
    part: { readonly limit: number; readonly from: string; readonly now: number },
  ): SvidPage {
    const query = this.#queryOf(filter);
    if (query === undefined) return { svids: [], next: undefined };
    const { limit, from, now } = part;
    const begin = from === "" ? undefined : keyOfCursor(from);
    const found: (LedgerRow & { readonly key: Buffer })[] = [];
    for (const segment of this.#segments.toReversed()) {
      segment.visit(query, seconds(now), (at) => {
        const last = found[limit];
        // Most rows are behind what is found already, and cost no more than this.
        if (last !== undefined && segment.comesAfter(at, last.issuedAt, last.key)) return;
        if (begin !== undefined && !segment.comesAfter(at, begin.issuedAt, begin.key)) return;
        const row = segment.row(at);
        insert(found, { ...row, key: padded(row.serial) }, limit + 1);
      });
    }
    const svids = found.slice(0, limit).map((row) => this.#shown(row));
    const end = found.length > limit ? found.at(limit - 1) : undefined;
    return { svids, next: end === undefined ? undefined : cursorOf(end) };
  }

  /** Lets go of what has ended. Cheap enough to be called every second. */
  sweep(now: number): void {
    if (now - this.#sweptAt < sweepEveryMs && now >= this.#sweptAt) return;
    this.#sweptAt = now;
    const alive = this.#segments.map((segment) => segment.alive(seconds(now)));
    const sparse = this.#segments.findIndex(
      (segment, at) => segment.isFull && (alive[at] ?? 0) > 0 && (alive[at] ?? 0) < fewLiving,
    );
    const emptied = this.#segments[sparse];
    this.#segments = this.#segments.filter((_, at) => (alive[at] ?? 0) > 0 && at !== sparse);
    // One at a time: no tick may hold up the signing.
    emptied?.visit({}, seconds(now), (at) => this.#append(emptied.row(at)));
    this.#sweepNames();
  }

  #has(serial: string): boolean {
    const key = padded(serial);
    return this.#segments.some((segment) => segment.find(key) >= 0);
  }

  #add(svid: LedgerSvid): void {
    this.#append({
      serial: svid.serial,
      node: this.#names.numberOf(svid.node),
      entry: this.#names.numberOf(svid.entry),
      id: this.#names.numberOf(svid.spiffeId),
      authority: this.#names.numberOf(svid.authority),
      issuedAt: seconds(svid.issuedAt),
      notAfter: seconds(svid.notAfter),
      kind: svidKinds.indexOf(svid.kind),
    });
  }

  #append(row: LedgerRow): void {
    let last = this.#segments.at(-1);
    if (last === undefined || last.isFull) {
      last = new LedgerSegment();
      this.#segments = [...this.#segments, last];
    }
    last.add(row);
  }

  #shown(row: LedgerRow): LedgerSvid {
    const names = this.#names;
    return {
      serial: row.serial,
      spiffeId: names.nameOf(row.id),
      node: names.nameOf(row.node),
      entry: names.nameOf(row.entry),
      authority: names.nameOf(row.authority),
      kind: svidKinds[row.kind] ?? "caller",
      issuedAt: row.issuedAt * 1000,
      notAfter: row.notAfter * 1000,
    };
  }

  /** undefined when something is named that no SVID is of. */
  #queryOf(filter: SvidFilter): LedgerQuery | undefined {
    const { node, entry, spiffeId: id, authority } = filter;
    const query: { -readonly [K in keyof LedgerQuery]: number } = {};
    for (const [column, name] of Object.entries({ node, entry, id, authority })) {
      if (name === undefined) continue;
      const number = this.#names.find(name);
      if (number === undefined) return undefined;
      query[column as keyof LedgerQuery] = number;
    }
    return query;
  }

  #sweepNames(): void {
    if (this.#names.size < 2 * this.#namesAfterSweep + namesSlack) return;
    const used = new Uint8Array(this.#names.end);
    for (const segment of this.#segments) segment.markNames(used);
    this.#names.keepOnly(used);
    this.#namesAfterSweep = this.#names.size;
  }
}

/** The SVIDs that a record says were issued. */
function issuedBy(action: AuditAction, at: number): readonly LedgerSvid[] {
  const issuedAt = wholeSeconds(at);
  switch (action.kind) {
    case "svids-issued":
      return action.svids.map(({ serial, spiffeId, entry, authority, purpose, notAfter }) => ({
        serial,
        spiffeId,
        node: action.node,
        entry,
        authority,
        kind: purpose.kind,
        issuedAt,
        notAfter: wholeSeconds(notAfter),
      }));
    case "node-enrolled":
    case "node-renewed":
      return nodeSvid(action, issuedAt);
    case "svid-minted": {
      const { serial, spiffeId, authority, notAfter } = action;
      const of = { spiffeId, node: "", entry: "", authority, kind: "minted" as const };
      return [{ serial, ...of, issuedAt, notAfter: wholeSeconds(notAfter) }];
    }
    // An issuer's own SVID is replaced, not revoked.
    case "issuer-certified":
    case "svids-refused":
    case "svids-revoked":
    case "request-refused":
    case "admin":
    case "authority":
      return [];
  }
}

type Keyed = Pick<LedgerRow, "issuedAt"> & { readonly key: Buffer };

/** Keeps `rows` sorted, newest first, and no longer than `most`. */
function insert<Row extends Keyed>(rows: Row[], row: Row, most: number): void {
  let [low, high] = [0, rows.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    const there = rows[middle];
    if (there !== undefined && compareRows(there, row) < 0) low = middle + 1;
    else high = middle;
  }
  if (low >= most) return;
  rows.splice(low, 0, row);
  if (rows.length > most) rows.pop();
}

function compareRows(a: Keyed, b: Keyed): number {
  return b.issuedAt - a.issuedAt || Buffer.compare(a.key, b.key);
}

function cursorOf(row: LedgerRow): string {
  return `${row.issuedAt}.${row.serial}`;
}

/** Whatever a cursor says that was not ours, the list begins somewhere. */
function keyOfCursor(cursor: string): Keyed {
  const [issuedAt = "", serial = ""] = cursor.split(".");
  const digits = /^[0-9a-f]{0,40}$/.test(serial) ? serial : "";
  return { issuedAt: Number(issuedAt), key: padded(digits) };
}

function seconds(ms: number): number {
  return Math.floor(ms / 1000);
}

function wholeSeconds(ms: number): number {
  return seconds(ms) * 1000;
}

/** Records from before their end was kept say too little, and those have ended by now. */
function nodeSvid(
  action: Extract<AuditAction, { readonly kind: "node-enrolled" | "node-renewed" }>,
  issuedAt: number,
): readonly LedgerSvid[] {
  const { node, serial, authority, notAfter } = action;
  if (authority === undefined || notAfter === undefined) return [];
  const of = { spiffeId: node, node, entry: "", authority, kind: "node" as const };
  return [{ serial, ...of, issuedAt, notAfter: wholeSeconds(notAfter) }];
}
