/** Time, as everything in Herald takes it. Tests hold it still; the simulation drives it. */
export interface Clock {
  /** Milliseconds since the Unix epoch (wall clock). */
  now(): number;
  /** Calls `run` once after `delayMs`; the returned timer can be cancelled. A real timer does not keep the process alive. */
  after(delayMs: number, run: () => void): Timer;
}

/** A call that is to come. */
export interface Timer {
  cancel(): void;
}

/** setTimeout fires at once above this many milliseconds (2^31 - 1); longer waits are cut to it and simply come round again. */
const longestTimerMs = 2_147_483_647;

/** The machine's own time. Its timers do not keep a process alive. */
export const systemClock: Clock = {
  now: () => Date.now(),
  after(delayMs, run) {
    const handle = setTimeout(run, Math.min(Math.max(0, delayMs), longestTimerMs));
    handle.unref();
    return { cancel: () => clearTimeout(handle) };
  },
};

/** Resolves after `delayMs`, or at once when `signal` aborts: the caller checks the signal, so no rejection can be forgotten. */
export function pause(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted === true) {
      resolve();
      return;
    }
    const done = (): void => {
      timer.cancel();
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = clock.after(delayMs, done);
    signal?.addEventListener("abort", done, { once: true });
  });
}
