import type { Clock, Timer } from "../../src/kit/clock.ts";
import { quiet } from "./simulation-quiet.ts";

interface Held {
  readonly at: number;
  readonly run: () => void;
}

/** A clock that stands still until it is told to go on. Timers run in the order of their times, then of their making. */
export class HeldClock implements Clock {
  readonly #timers = new Set<Held>();
  #now: number;

  /** @param now milliseconds since the epoch */
  constructor(now: number) {
    this.#now = now;
  }

  now(): number {
    return this.#now;
  }

  after(delayMs: number, run: () => void): Timer {
    const timer: Held = { at: this.#now + Math.max(0, Math.ceil(delayMs)), run };
    this.#timers.add(timer);
    return { cancel: () => this.#timers.delete(timer) };
  }

  /** Lets this much time pass: runs each timer that comes due at its own time, and waits for what it sets going. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    await quiet();
    for (let next = this.#next(end); next !== undefined; next = this.#next(end)) {
      this.#timers.delete(next);
      this.#now = next.at;
      next.run();
      await quiet();
    }
    this.#now = end;
  }

  /** Lets time pass in `stepMs` until `done`, at most `limitMs`. Resolves with what `done` said last. */
  async until(
    done: () => boolean,
    { stepMs = 1000, limitMs }: { readonly stepMs?: number; readonly limitMs: number },
  ): Promise<boolean> {
    await quiet();
    for (let passed = 0; passed < limitMs && !done(); passed += stepMs) await this.advance(stepMs);
    return done();
  }

  #next(end: number): Held | undefined {
    let first: Held | undefined;
    for (const timer of this.#timers)
      if (timer.at <= end && (first === undefined || timer.at < first.at)) first = timer;
    return first;
  }
}
