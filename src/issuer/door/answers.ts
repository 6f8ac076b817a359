import type { Clock } from "../../kit/clock.ts";
import { IssuerError } from "../error.ts";

/** How long an answer is kept: longer than a request lives, so that a retry of the same bytes never signs twice (ND-34, TM-R-01). */
const keptMs = 150_000;

/** The digest alone takes a few hundred bytes; this bounds what nodes that flood can make the issuer hold. */
const keptDigests = 50_000;

/** A batch of 50 SVIDs makes an answer of 50 KiB; a retry comes within seconds, so the newest are those that are asked for. */
const keptBytes = 64 * 1024 * 1024;

interface Kept {
  /** Undefined once its bytes were given up. */
  answer: Promise<Uint8Array> | undefined;
  readonly until: number;
}

/**
 * The same request gets the same answer: remembers answers, also those still being made, by what names their request. When they take too much
 * memory the oldest lose their bytes, and a repetition of their request gets none: it never gets another one.
 */
export class Answers {
  readonly #clock: Clock;
  readonly #kept = new Map<string, Kept>();
  /** Which hold bytes, oldest first, and how many. */
  readonly #sizes = new Map<Kept, number>();
  #bytes = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Whether a request of this name was answered, or is being answered. */
  has(name: string): boolean {
    this.#forget(this.#clock.now());
    return this.#kept.has(name);
  }

  /**
   * The kept answer, or what `make` makes. A failure is not kept, nor what `isFinal` denies: the retry shall try again.
   * @throws IssuerError ANSWER_GONE
   */
  of(
    name: string,
    make: () => Promise<Uint8Array>,
    isFinal: (answer: Uint8Array) => boolean = () => true,
  ): Promise<Uint8Array> {
    const now = this.#clock.now();
    this.#forget(now);
    const known = this.#kept.get(name);
    if (known !== undefined) return known.answer ?? Promise.reject(gone());
    const answer = make();
    const kept: Kept = { answer, until: now + keptMs };
    this.#kept.set(name, kept);
    const forget = (): void => {
      if (this.#kept.get(name) === kept) this.#kept.delete(name);
    };
    answer.then((bytes) => {
      if (!isFinal(bytes)) forget();
      else if (this.#kept.get(name) === kept) this.#weigh(kept, bytes.byteLength);
    }, forget);
    return answer;
  }

  #weigh(kept: Kept, bytes: number): void {
    this.#sizes.set(kept, bytes);
    this.#bytes += bytes;
    for (const oldest of this.#sizes.keys()) {
      if (this.#bytes <= keptBytes) return;
      this.#drop(oldest);
    }
  }

  #drop(kept: Kept): void {
    this.#bytes -= this.#sizes.get(kept) ?? 0;
    this.#sizes.delete(kept);
    kept.answer = undefined;
  }

  /** From now on every request is judged anew: somebody who had answers may have none any more. */
  clear(): void {
    this.#kept.clear();
    this.#sizes.clear();
    this.#bytes = 0;
  }

  /** Insertion order is age order, so the old ones are in front. */
  #forget(now: number): void {
    for (const [digest, kept] of this.#kept) {
      if (kept.until > now && this.#kept.size < keptDigests) return;
      this.#kept.delete(digest);
      this.#drop(kept);
    }
  }
}

function gone(): IssuerError {
  return new IssuerError(
    "ANSWER_GONE",
    "the request was answered before and its answer is kept no more; ask anew with a fresh request",
  );
}
