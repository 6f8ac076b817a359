import type { Entry } from "../core/policy/entry.ts";
import { type Backoff, exponentialBackoff } from "../kit/backoff.ts";
import type { Clock } from "../kit/clock.ts";
import type { Random } from "../kit/random.ts";

/** From half a second to half a minute: for one entry, and for the issuer as a whole. */
export const askAgain = { baseMs: 500, maxMs: 30_000 } as const;

interface Refused {
  readonly revision: bigint;
  readonly backoff: Backoff;
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
    return refused?.revision === entry.revision ? refused.until : 0;
  }

  /** A request was answered: those of `asked` that did not get an SVID wait. */
  answered(asked: readonly Entry[], got: ReadonlySet<string>): void {
    for (const { id, revision } of asked) {
      const before = this.#refused.get(id);
      this.#refused.delete(id);
      if (got.has(id)) continue;
      const backoff =
        before?.revision === revision
          ? before.backoff
          : exponentialBackoff({ ...askAgain, random: this.#random });
      this.#refused.set(id, { revision, backoff, until: this.#clock.now() + backoff.next() });
    }
  }

  /** The reasons may be gone: all may be asked for at once. */
  clear(): void {
    this.#refused.clear();
  }
}
