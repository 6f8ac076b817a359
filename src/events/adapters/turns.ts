/** Runs tasks of one name one after another, and tasks of different names at once. */
export class Turns {
  readonly #last = new Map<string, Promise<void>>();

  /** Runs `task` when all earlier ones of `name` have ended, well or not. */
  async run<Result>(name: string, task: () => Promise<Result>): Promise<Result> {
    const before = this.#last.get(name) ?? Promise.resolve();
    const mine = before.then(task);
    const ended = mine.then(
      () => undefined,
      () => undefined,
    );
    this.#last.set(name, ended);
    try {
      return await mine;
    } finally {
      if (this.#last.get(name) === ended) this.#last.delete(name);
    }
  }
}
