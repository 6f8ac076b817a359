import type { Entry } from "../core/policy/entry.ts";
import type { Clock } from "../kit/clock.ts";
import type { Random } from "../kit/random.ts";

/** From half a second to half a minute: for one entry, and for the issuer as a whole. */
export const askAgain = { baseMs: 500, maxMs: 30_000 } as const;

interface Refused {
  readonly revision: bigint;
  readonly tries: number;
  readonly until: number;
}

/** Entries whose last SVID was refused, by the issuer or by this node: each waits on its own, so that none keeps the others waiting. */
export class RefusedEntries {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #refused = new Map<string, Refused>();

  constructor(options: { readonly clock: Clock; readonly random: Random }) {
    this.#clock = options.clock;
    this.#random = options.random;
  }

  /** When an entry may be asked for again, milliseconds since the epoch; 0 for one that was not refused in this revision. */
  retryAt(entry: Entry): number {
    const refused = this.#refused.get(entry.id);
    if (refused?.revision !== entry.revision) return 0;
    // A clock that was set back must not make a wait of half a minute one of days.
    return Math.min(refused.until, this.#clock.now() + askAgain.maxMs);
  }

  /** A request was answered: those of `asked` that did not get an SVID wait, together, so that they are one request again. */
  answered(asked: readonly Entry[], got: ReadonlySet<string>): void {
    const now = this.#clock.now();
    const jitter = this.#random.fraction();
    for (const { id, revision } of asked) {
      const before = this.#refused.get(id);
      this.#refused.delete(id);
      if (got.has(id)) continue;
      const tries = before?.revision === revision ? before.tries + 1 : 0;
      const full = Math.min(askAgain.maxMs, askAgain.baseMs * 2 ** Math.min(tries, 30));
      this.#refused.set(id, { revision, tries, until: now + full / 2 + (jitter * full) / 2 });
    }
  }

  /** The reasons may be gone: all may be asked for at once. */
  clear(): void {
    this.#refused.clear();
  }
}
