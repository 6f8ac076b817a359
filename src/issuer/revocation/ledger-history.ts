import type { AuditRecord } from "../../core/envelope/audit-payloads.ts";
import { type Opened, openEnvelope } from "../../core/envelope/envelope.ts";
import { EnvelopeError } from "../../core/envelope/error.ts";
import type { ControlTrust } from "../../core/envelope/trust.ts";
import { type Clock, pause } from "../../kit/clock.ts";
import { reasonOf } from "../../kit/errors.ts";
import type { Log } from "../../kit/log.ts";
import type { AuditHistory } from "../ports.ts";

/** After so many records the rest of the issuer has its turn: each takes up to a millisecond to check. */
const recordsAtOnce = 32;

const retryMs = 10_000;

export interface LedgerHistoryOptions {
  /** Name of this issuer's chain in the stream. */
  readonly name: string;
  readonly trust: ControlTrust;
  readonly history: AuditHistory;
  /** No SVID lives longer: what was issued before that has ended. */
  readonly longestLifeMs: number;
  readonly clock: Clock;
  readonly log: Log;
}

/** Is every live SVID known? `gap`: the stream has lost records of the time in which live ones may have been issued. */
export type HistoryState = "reading" | "whole" | "gap";

type Link = Pick<AuditRecord, "n" | "prev" | "at">;

/** Reads back from the audit stream what the journal does not hold of the time in which live SVIDs were issued. */
export class LedgerHistory {
  readonly #options: LedgerHistoryOptions;
  readonly #stop = new AbortController();
  #state: HistoryState = "reading";

  constructor(options: LedgerHistoryOptions) {
    this.#options = options;
  }

  get state(): HistoryState {
    return this.#state;
  }

  /**
   * Hands every record before `oldest`, the oldest that is known already, to `take`. Tries until the stream answers; resolves when it is done or
   * stopped.
   */
  async read(oldest: Link | undefined, take: (record: AuditRecord) => void): Promise<void> {
    const from = this.#options.clock.now() - this.#options.longestLifeMs;
    // A chain that begins after it, or with it, has nothing older to be read.
    if (oldest === undefined || oldest.n === 1n || oldest.at <= from) {
      this.#state = "whole";
      return;
    }
    while (this.#state === "reading" && !this.#stop.signal.aborted) {
      try {
        this.#state = (await this.#readOnce({ from, oldest }, take)) ? "whole" : "gap";
      } catch (thrown) {
        this.#options.log.warn(
          { reason: reasonOf(thrown) },
          "the audit stream cannot be read back; trying again. Until then SVIDs issued long ago are not in `herald svid list`",
        );
        await pause(this.#options.clock, retryMs, this.#stop.signal);
      }
    }
    if (this.#state === "gap")
      this.#options.log.error(
        { alarm: "audit-gap" },
        "the audit stream lacks records of this issuer: SVIDs that they tell of can only be revoked by their serials",
      );
  }

  stop(): void {
    this.#stop.abort();
  }

  /** Was all of it there? */
  async #readOnce(
    part: { readonly from: number; readonly oldest: Link },
    take: (record: AuditRecord) => void,
  ): Promise<boolean> {
    const { history, name, clock } = this.#options;
    const { from, oldest } = part;
    const { signal } = this.#stop;
    let isWhole = true;
    let last: Opened<"audit-record"> | undefined;
    let count = 0;
    for await (const bytes of history.readAudit({ issuer: name, from, signal })) {
      const record = this.#open(bytes);
      if (record === undefined) continue;
      const { payload } = record;
      if (payload.n >= oldest.n) break;
      isWhole &&=
        last === undefined ? payload.n === 1n || payload.at <= from : follows(payload, last);
      last = record;
      take(payload);
      count += 1;
      if (count % recordsAtOnce === 0) await pause(clock, 0, signal);
    }
    return isWhole && last !== undefined && follows(oldest, last);
  }

  /** undefined for what no issuer signed: the broker may have written anything there. Its gap in the chain shows by itself. */
  #open(bytes: Uint8Array): Opened<"audit-record"> | undefined {
    try {
      return openEnvelope(bytes, ["audit-record"], this.#options.trust.atAnyTime());
    } catch (thrown) {
      if (!(thrown instanceof EnvelopeError)) throw thrown;
      this.#options.log.error(
        { alarm: "audit-forged", reason: reasonOf(thrown) },
        "the audit stream holds a record that no issuer signed",
      );
      return undefined;
    }
  }
}

function follows(next: Pick<Link, "n" | "prev">, last: Opened<"audit-record">): boolean {
  return next.n === last.payload.n + 1n && next.prev === last.digest;
}
