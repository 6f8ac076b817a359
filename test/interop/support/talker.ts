import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { z } from "zod";

/** A client of another language: it says one JSON object a line, and ends when its standard input does. */
export class Talker implements AsyncDisposable {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #lines: AsyncIterator<string>;
  #words = "";

  constructor(command: string, args: readonly string[]) {
    this.#child = spawn(command, args);
    this.#child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.#words += text;
    });
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  /** What it says next. @throws {Error} with its last words when it has ended */
  async next<T>(shape: z.ZodType<T>): Promise<T> {
    const line = await this.#lines.next();
    if (line.done === true) throw new Error(`the client ended: ${this.#words.slice(-2000)}`);
    return shape.parse(JSON.parse(line.value));
  }

  /** Reads on until it says something that fits. */
  async until<T>(shape: z.ZodType<T>, fits: (said: T) => boolean): Promise<T> {
    for (;;) {
      const said = await this.next(shape);
      if (fits(said)) return said;
    }
  }

  /** Closes its standard input, gives it `input` before. */
  end(input = ""): void {
    this.#child.stdin.end(input);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await gone;
  }
}
