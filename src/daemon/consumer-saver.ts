import type { Consumers } from "../identity/consumers.ts";
import type { ConsumerStore } from "../identity/ports.ts";
import { reasonOf } from "../kit/errors.ts";
import type { Log } from "../kit/log.ts";

/** Keeps the list of consumers on disk as it changes, one write at a time: a restarted daemon must know whom a rotation still waits for. */
export class ConsumerSaver {
  readonly #options: {
    readonly consumers: Consumers;
    readonly store: ConsumerStore;
    readonly log: Log;
  };
  #saving: Promise<void> | undefined;
  #again = false;
  #stopped = false;

  constructor(options: {
    readonly consumers: Consumers;
    readonly store: ConsumerStore;
    readonly log: Log;
  }) {
    this.#options = options;
  }

  changed(): void {
    this.#again = true;
    this.#saving ??= this.#save();
  }

  /** Begins no more; resolves when the last write is done. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#saving;
  }

  async #save(): Promise<void> {
    const { consumers, store, log } = this.#options;
    while (this.#again && !this.#stopped) {
      this.#again = false;
      try {
        await store.save(consumers.save());
      } catch (thrown) {
        log.warn({ reason: reasonOf(thrown) }, "could not keep the list of consumers");
      }
    }
    this.#saving = undefined;
  }
}
