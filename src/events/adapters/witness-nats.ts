import { jetstream } from "@nats-io/jetstream";
import { token26 } from "../../core/envelope/object-keys.ts";
import { EventsError } from "../error.ts";
import type { BusConnection } from "./connection.ts";
import { failure } from "./failures.ts";
import { newestMessage } from "./stored-messages.ts";

/** A stream on another NATS. */
export interface NatsWitnessOptions {
  /** Opened with credentials for that NATS; it stays the caller's to close. */
  readonly connection: BusConnection;
  /** Made by that NATS's own operator, best with `deny_delete` and `deny_purge`. */
  readonly stream: string;
  /** The stream keeps `<subject>.<token of the issuer>`. */
  readonly subject: string;
}

const ackWithinMs = 5000;

/** Keeps checkpoints of audit chains in a stream of another NATS: whoever takes Herald's own broker cannot rewrite that one. */
export class NatsWitness {
  readonly name: string;
  readonly #options: NatsWitnessOptions;

  constructor(options: NatsWitnessOptions) {
    this.#options = options;
    this.name = `nats ${options.stream}`;
  }

  /** @throws EventsError when the stream has not stored it */
  async submit(checkpoint: Uint8Array): Promise<void> {
    const { connection, stream } = this.#options;
    try {
      const ack = await jetstream(connection.nats()).publish(
        this.#subjectOf(checkpoint),
        checkpoint,
        {
          timeout: ackWithinMs,
        },
      );
      if (ack.stream !== stream)
        throw new EventsError(
          "BUS_MISCONFIGURED",
          `the stream ${ack.stream} took the checkpoint, not ${stream}; correct audit.witnesses`,
        );
    } catch (thrown) {
      throw failure(thrown, { what: `hand a checkpoint to ${stream}` });
    }
  }

  /** @throws EventsError */
  async last(issuer: string): Promise<Uint8Array | undefined> {
    const { connection, stream, subject } = this.#options;
    try {
      const of = { stream, subject: `${subject}.${token26(issuer)}` };
      return (await newestMessage(connection.nats(), of))?.bytes;
    } catch (thrown) {
      throw failure(thrown, { what: `ask ${stream} for the newest checkpoint` });
    }
  }

  #subjectOf(checkpoint: Uint8Array): string {
    const { payload } = JSON.parse(Buffer.from(checkpoint).toString("utf8")) as {
      readonly payload: string;
    };
    const { issuer } = JSON.parse(Buffer.from(payload, "base64").toString("utf8")) as {
      readonly issuer: string;
    };
    return `${this.#options.subject}.${token26(issuer)}`;
  }
}
