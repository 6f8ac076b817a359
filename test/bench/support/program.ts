import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

/** A line of a program's output, and when it was read, by `performance.now()` of this process. */
export interface Line {
  readonly at: number;
  readonly text: string;
}

/** What to run. */
export interface ProgramOptions {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly isReady: (text: string) => boolean;
}

interface Waiter {
  readonly wants: (line: Line) => boolean;
  readonly resolve: (line: Line) => void;
}

const running = new Set<ChildProcess>();

/** Ends everything that is still up, at once: for signals, when nothing can be awaited any more. */
export function killPrograms(): void {
  for (const child of running) child.kill("SIGKILL");
}

/** A program in a process of its own, whose lines are read as they come: its log is the stop-watch. */
export class Program {
  readonly name: string;
  readonly lines: Line[] = [];
  readonly #options: ProgramOptions;
  readonly #waiters = new Set<Waiter>();
  #child: ChildProcess | undefined;

  constructor(options: ProgramOptions) {
    this.name = options.name;
    this.#options = options;
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  /** Resolves with the line that says that it serves. */
  async start(): Promise<Line> {
    const { command, args, isReady } = this.#options;
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] });
    this.#child = child;
    running.add(child);
    for (const input of [child.stdout, child.stderr])
      createInterface({ input }).on("line", (text) => this.#onLine(text));
    const ready = this.next((line) => isReady(line.text), `${this.name} serves`, 30_000);
    const ended = once(child, "exit").then(() => {
      running.delete(child);
      const words = this.lines.slice(-5).map((line) => line.text);
      throw new Error(`${this.name} ended; its last words:\n${words.join("\n")}`);
    });
    ended.catch(() => undefined);
    return await Promise.race([ready, ended]);
  }

  /** The next line that `wants` takes; the lines of before do not count. */
  next(wants: (line: Line) => boolean, what: string, limitMs = 20_000): Promise<Line> {
    const { promise, resolve, reject } = Promise.withResolvers<Line>();
    const waiter: Waiter = { wants, resolve };
    const timer = setTimeout(
      () => reject(new Error(`not within ${limitMs / 1000} s: ${what}`)),
      limitMs,
    );
    this.#waiters.add(waiter);
    return promise.finally(() => {
      clearTimeout(timer);
      this.#waiters.delete(waiter);
    });
  }

  /** Ends it and resolves when it is gone. */
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, "exit");
    child.kill(signal);
    const timer = setTimeout(() => child.kill("SIGKILL"), 10_000);
    await gone;
    clearTimeout(timer);
  }

  #onLine(text: string): void {
    const line = { at: performance.now(), text };
    this.lines.push(line);
    for (const waiter of this.#waiters) if (waiter.wants(line)) waiter.resolve(line);
  }
}
