import type { Clock } from "../kit/clock.ts";

/** How long an answer is kept: longer than a request lives, so that a retry of the same bytes never signs twice (ND-34, TM-R-01). */
const keptMs = 150_000;

/** What a node that floods can make the issuer hold: so many answers, and so much of them. A full batch's answer has some 90 KiB. */
const keptAnswers = 10_000;
const keptBytes: number = 64 * 1024 * 1024;

interface Kept {
  readonly answer: Promise<Uint8Array>;
  readonly until: number;
  /** 0 until it is there. */
  size: number;
}

/** The same request gets the same answer: remembers answers, also those still being made, by what names their request. */
export class Answers {
  readonly #clock: Clock;
  readonly #kept = new Map<string, Kept>();
  #bytes = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The answer that is kept or being made. */
  find(name: string): Promise<Uint8Array> | undefined {
    this.#forget(this.#clock.now());
    return this.#kept.get(name)?.answer;
  }

  /** The kept answer, or what `make` makes. A failure is not kept, nor what `isFinal` denies: the retry shall try again. */
  of(
    name: string,
    make: () => Promise<Uint8Array>,
    isFinal: (answer: Uint8Array) => boolean = () => true,
  ): Promise<Uint8Array> {
    const known = this.find(name);
    if (known !== undefined) return known;
    const answer = make();
    const kept: Kept = { answer, until: this.#clock.now() + keptMs, size: 0 };
    this.#kept.set(name, kept);
    answer.then(
      (bytes) => (isFinal(bytes) ? this.#weigh(name, kept, bytes.byteLength) : this.#drop(name)),
      () => this.#drop(name),
    );
    return answer;
  }

  /** Insertion order is age order, so the old ones are in front. */
  #forget(now: number): void {
    for (const [oldest, { until }] of this.#kept) {
      const fits = this.#kept.size < keptAnswers && this.#bytes <= keptBytes;
      if (until > now && fits) return;
      this.#drop(oldest);
    }
  }

  #weigh(name: string, kept: Kept, size: number): void {
    if (this.#kept.get(name) !== kept) return;
    kept.size = size;
    this.#bytes += size;
  }

  #drop(name: string): void {
    this.#bytes -= this.#kept.get(name)?.size ?? 0;
    this.#kept.delete(name);
  }
}
