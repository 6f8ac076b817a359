import type { Clock } from "../kit/clock.ts";

/** How long an answer is kept: longer than a request lives, so that a retry of the same bytes never signs twice (ND-34, TM-R-01). */
const keptMs = 150_000;

/** An answer is a few KiB; this bounds what a node that floods can make the issuer hold. */
const keptAnswers = 10_000;

/** The same request gets the same answer: remembers answers, also those still being made, by the digest of the proven request. */
export class Answers {
  readonly #clock: Clock;
  readonly #kept = new Map<
    string,
    { readonly answer: Promise<Uint8Array>; readonly until: number }
  >();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The kept answer, or what `make` makes. A failure is not kept: the retry shall try again. */
  of(digest: string, make: () => Promise<Uint8Array>): Promise<Uint8Array> {
    const now = this.#clock.now();
    this.#forget(now);
    const known = this.#kept.get(digest);
    if (known !== undefined) return known.answer;
    const answer = make();
    this.#kept.set(digest, { answer, until: now + keptMs });
    answer.catch(() => this.#kept.delete(digest));
    return answer;
  }

  /** From now on every request is judged anew: somebody who had answers may have none any more. */
  clear(): void {
    this.#kept.clear();
  }

  /** Insertion order is age order, so the old ones are in front. */
  #forget(now: number): void {
    for (const [oldest, { until }] of this.#kept) {
      if (until > now && this.#kept.size < keptAnswers) return;
      this.#kept.delete(oldest);
    }
  }
}
