import type { Clock } from "../kit/clock.ts";

/** What a verb may touch of the world; `main.ts` gives the real one, tests their own. */
export interface Surroundings {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Effective user. */
  readonly uid: number;
  readonly clock: Clock;
  /** Appends to stdout. */
  out(text: string): void;
  /** Appends to stderr. */
  err(text: string): void;
  /** Calls `run` when the user presses Ctrl-C or the process is told to end; returns how to stop that. */
  onInterrupt(run: () => void): () => void;
}
