import type { Msg, NatsConnection } from "@nats-io/transport-node";
import { reasonOf } from "../../kit/errors.ts";
import type { Log } from "../../kit/log.ts";

/** One subscription. */
export interface Listening {
  readonly subject: string;
  readonly queue?: string;
  readonly onMessage: (message: Msg) => void;
}

/** A subscription that outlives its connection. */
export class LiveListening {
  readonly #listening: Listening;
  readonly #log: Log;
  #subscription: ReturnType<NatsConnection["subscribe"]> | undefined;

  constructor(listening: Listening, log: Log) {
    this.#listening = listening;
    this.#log = log;
  }

  attach(nats: NatsConnection): void {
    const { subject, queue, onMessage } = this.#listening;
    this.#subscription = nats.subscribe(subject, {
      ...(queue === undefined ? {} : { queue }),
      callback: (error, message) => {
        if (error !== null) {
          this.#log.error({ subject, reason: reasonOf(error) }, "a subscription was refused");
          return;
        }
        try {
          onMessage(message);
        } catch (thrown) {
          // Thrown into nats.js it would end the reading of the whole connection.
          this.#log.error({ subject, reason: reasonOf(thrown) }, "a listener threw");
        }
      },
    });
  }

  async drain(): Promise<void> {
    const subscription = this.#subscription;
    this.#subscription = undefined;
    if (subscription === undefined || subscription.isClosed()) return;
    await subscription.drain().catch(() => undefined);
  }
}
