import type { Msg, NatsConnection } from "@nats-io/transport-node";
import { reasonOf } from "../../kit/errors.ts";
import type { Log } from "../../kit/log.ts";

/** One subscription. */
export interface Listening {
  readonly subject: string;
  readonly queue?: string;
  readonly onMessage: (message: Msg) => void;
}

/** A subscription with the connection that it stands on. */
interface Attached {
  readonly subscription: ReturnType<NatsConnection["subscribe"]>;
  readonly nats: NatsConnection;
}

/** A subscription that outlives its connection. */
export class LiveListening {
  readonly #listening: Listening;
  readonly #log: Log;
  #attached: Attached | undefined;

  constructor(listening: Listening, log: Log) {
    this.#listening = listening;
    this.#log = log;
  }

  attach(nats: NatsConnection): void {
    const { subject, queue, onMessage } = this.#listening;
    const subscription = nats.subscribe(subject, {
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
    this.#attached = { subscription, nats };
  }

  async drain(): Promise<void> {
    const attached = this.#attached;
    this.#attached = undefined;
    if (attached === undefined || attached.subscription.isClosed()) return;
    const drained = attached.subscription.drain().catch(() => undefined);
    // What is asked of a broker that goes away meanwhile is never answered: drain() would not end.
    await Promise.race([drained, attached.nats.closed()]);
  }
}
