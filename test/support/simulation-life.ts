import type { Clock } from "../../src/kit/clock.ts";

/** One process between its start and its death: what it hangs on to the world by is cut when it ends, as SIGKILL does. */
export class Life {
  #ended = false;

  get ended(): boolean {
    return this.#ended;
  }

  end(): void {
    this.#ended = true;
  }

  /** Timers of a dead process do not run. */
  clock(clock: Clock): Clock {
    return {
      now: () => clock.now(),
      after: (delayMs, run) =>
        clock.after(delayMs, () => {
          if (!this.#ended) run();
        }),
    };
  }

  /** An effect: none begins after the end, and nobody is there to hear how one ended. */
  async does<T>(effect: () => Promise<T>): Promise<T> {
    if (this.ended) return await never<T>();
    // Asked anew after each wait, which the checker of conditions does not see.
    const hasEnded = (): boolean => this.#ended;
    try {
      const result = await effect();
      return hasEnded() ? await never<T>() : result;
    } catch (thrown) {
      if (hasEnded()) return await never<T>();
      throw thrown;
    }
  }
}

function never<T>(): Promise<T> {
  return new Promise<T>(() => undefined);
}
