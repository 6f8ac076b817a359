import type { Random } from "./random.ts";

/** Where a series of retries stands. A value: the caller sleeps, this only counts. */
export interface Backoff {
  /** The wait before the next try in milliseconds: doubled each time up to `maxMs`, with full jitter above half of it. */
  next(): number;
  /** After a success: start again from `baseMs`. */
  reset(): void;
}

/** Doubles from `baseMs` to `maxMs`, each wait spread over its upper half so that a fleet does not come back as one. */
export function exponentialBackoff(options: {
  readonly baseMs: number;
  readonly maxMs: number;
  readonly random: Random;
}): Backoff {
  let tries = 0;
  return {
    next() {
      const full = Math.min(options.maxMs, options.baseMs * 2 ** Math.min(tries, 30));
      tries += 1;
      return full / 2 + (options.random.fraction() * full) / 2;
    },
    reset() {
      tries = 0;
    },
  };
}
