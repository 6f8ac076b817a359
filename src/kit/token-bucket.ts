/** How much is allowed over time. */
export interface Rate {
  /** What comes back, per second. */
  readonly perSecond: number;
  /** What can be taken at once after a rest. */
  readonly burst: number;
}

/** A rate with twice a second's worth at once: what honest callers do comes in bursts. */
export function rateOf(perSecond: number): Rate {
  return { perSecond, burst: 2 * perSecond };
}

/** Counts what somebody may still take. A value: it takes the time and sets no timer. */
export class TokenBucket {
  readonly #rate: Rate;
  #tokens: number;
  #at: number;

  /** Full at `now`, milliseconds. */
  constructor(rate: Rate, now: number) {
    this.#rate = rate;
    this.#tokens = rate.burst;
    this.#at = now;
  }

  /** In how many milliseconds `cost` could be taken; 0: at once. What is above the burst waits for a full bucket, not for ever. */
  waitFor(cost: number, now: number): number {
    this.#refill(now);
    const missing = Math.min(cost, this.#rate.burst) - this.#tokens;
    return missing <= 0 ? 0 : Math.ceil((missing / this.#rate.perSecond) * 1000);
  }

  /** Takes it, even below zero: the caller asked {@link TokenBucket.waitFor} before. */
  take(cost: number, now: number): void {
    this.#refill(now);
    this.#tokens -= cost;
  }

  /** Takes `cost` if it is there. */
  tryTake(cost: number, now: number): boolean {
    if (this.waitFor(cost, now) > 0) return false;
    this.take(cost, now);
    return true;
  }

  /** A clock that was set back gives nothing and takes nothing. */
  #refill(now: number): void {
    const elapsed = Math.max(0, now - this.#at);
    this.#at = now;
    const { perSecond, burst } = this.#rate;
    this.#tokens = Math.min(burst, this.#tokens + (elapsed * perSecond) / 1000);
  }
}
