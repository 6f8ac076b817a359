import { type ChildProcess, spawn } from "node:child_process";
import { createWriteStream, mkdirSync, type WriteStream } from "node:fs";
import { dirname } from "node:path";
import { createInterface } from "node:readline";
import { exponentialBackoff } from "../kit/backoff.ts";
import { systemClock } from "../kit/clock.ts";
import { HeraldError } from "../kit/errors.ts";
import { systemRandom } from "../kit/random.ts";

export type SupervisorErrorCode = "CHILD_FAILED";

/** A supervised program that could not be brought up. */
export class SupervisorError extends HeraldError<SupervisorErrorCode> {}

/** How a program is run and known to serve. */
export interface ProgramOptions {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /** All output goes here, and each line to `onLine`. */
  readonly logFile: string;
  /** True for the line that says that the program serves. */
  readonly isReady: (line: string) => boolean;
  /** Started again when it ends by itself; otherwise it stays down until {@link Program.start}. */
  readonly restart: boolean;
}

/** A program that runs in its own process, is watched, and is stopped with its parent. */
export class Program {
  readonly #options: ProgramOptions;
  readonly #log: WriteStream;
  #child: ChildProcess | undefined;
  #wanted = false;
  #lastLine = "";

  constructor(options: ProgramOptions) {
    this.#options = options;
    mkdirSync(dirname(options.logFile), { recursive: true });
    this.#log = createWriteStream(options.logFile, { flags: "a" });
  }

  /** Of the process that runs now; undefined while none does. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Starts it and resolves with the line that said that it serves. @throws SupervisorError with its last words when it ends before */
  start(): Promise<string> {
    this.#wanted = true;
    return new Promise((resolve, reject) =>
      this.#spawn(resolve, (reason) => {
        this.#wanted = false;
        reject(reason);
      }),
    );
  }

  /** Ends it, by SIGTERM unless told otherwise, and resolves when it is gone. After ten seconds it is killed. */
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    this.#wanted = false;
    const child = this.#child;
    // One that has ended may still have output on its way, and will not tell its end a second time.
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    child.kill(signal);
    const timer = systemClock.after(10_000, () => child.kill("SIGKILL"));
    await gone;
    timer.cancel();
  }

  /** Sends a signal and lets the supervision do what it does then. */
  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  #spawn(onReady: (line: string) => void, onFailed: (reason: SupervisorError) => void): void {
    const { command, args, env, isReady, name } = this.#options;
    const child = spawn(command, args, {
      stdio: ["ignore", "pipe", "pipe"],
      env: env ?? process.env,
    });
    this.#child = child;
    let ready = false;
    let failed = false;
    // A command that does not exist is told of twice, as an error and as an end.
    const fail = (reason: SupervisorError): void => {
      if (!failed) onFailed(reason);
      failed = true;
    };
    const onLine = (line: string): void => {
      this.#log.write(`${line}\n`);
      if (line.trim() !== "") this.#lastLine = line;
      if (ready || !isReady(line)) return;
      ready = true;
      onReady(line);
    };
    for (const stream of [child.stdout, child.stderr])
      createInterface({ input: stream }).on("line", onLine);
    child.once("error", (cause) =>
      fail(
        new SupervisorError("CHILD_FAILED", `cannot start ${command}: ${cause.message}`, { cause }),
      ),
    );
    child.once("close", (code, signal) => {
      if (this.#child === child) this.#child = undefined;
      if (!ready) {
        fail(
          new SupervisorError(
            "CHILD_FAILED",
            `${name} ended (${signal ?? `exit code ${code}`}) before it served: ${this.#lastLine.slice(0, 500)}; its log is ${this.#options.logFile}`,
          ),
        );
      } else if (this.#wanted && this.#options.restart) this.#startAgain();
    });
  }

  #startAgain(): void {
    const backoff = exponentialBackoff({ baseMs: 200, maxMs: 5000, random: systemRandom });
    const again = (): void => {
      if (!this.#wanted) return;
      this.#spawn(
        () => undefined,
        () => keepAlive(backoff.next(), again),
      );
    };
    keepAlive(100, again);
  }
}

/** The supervisor's own timers hold the process: it has nothing else to wait on. */
function keepAlive(delayMs: number, run: () => void): void {
  setTimeout(run, delayMs);
}

/** The value of a member of a JSON log line, or undefined for any other line. */
export function logged(line: string, member: string): unknown {
  if (!line.startsWith("{")) return undefined;
  try {
    return (JSON.parse(line) as Record<string, unknown>)[member];
  } catch {
    return undefined;
  }
}
