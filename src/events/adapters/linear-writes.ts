import { jetstream } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import { EventsError } from "../error.ts";
import { failure } from "./failures.ts";
import { newestMessage, type StoredMessage } from "./stored-messages.ts";
import { Turns } from "./turns.ts";

/** One message for one subject of a stream. */
export interface LinearWrite {
  readonly stream: string;
  readonly subject: string;
  readonly bytes: Uint8Array;
  /** Whether a subject that was never learned is continued from what stands there; otherwise it must be empty. */
  readonly continues: boolean;
  /** What is done, for the text of an error. */
  readonly what: string;
}

/** How to reach the broker, and how long to wait for its acknowledgement. */
export interface LinearWritesOptions {
  readonly nats: () => NatsConnection;
  readonly timeoutMs: number;
}

interface Known {
  readonly sequence: number;
  /** When it was learned, in steps of this object's own count. */
  readonly at: number;
}

/**
 * Writes that follow the last one seen on their subject or fail: `Nats-Expected-Last-Subject-Sequence`. That gives KV its
 * compare-and-set and an audit chain no fork.
 *
 * A write whose acknowledgement is lost leaves us unsure. It is kept in mind: if the next write of that subject conflicts, and
 * what stands there is exactly such a write, then it was ours, and we continue from it. A late arrival cannot overtake: its
 * expectation fails by then.
 */
export class LinearWrites {
  readonly #options: LinearWritesOptions;
  readonly #known = new Map<string, Known>();
  readonly #unsure = new Map<string, readonly Uint8Array[]>();
  readonly #turns = new Turns();
  #steps = 0;

  constructor(options: LinearWritesOptions) {
    this.#options = options;
  }

  /** Resolves when the stream has stored it. @throws EventsError */
  write(write: LinearWrite): Promise<void> {
    return this.#turns.run(write.subject, async () => {
      try {
        if (write.continues && !this.#known.has(write.subject)) {
          this.#know(write.subject, (await this.#newest(write))?.sequence ?? 0);
        }
        await this.#writeInTurn(write);
      } catch (thrown) {
        throw failure(thrown, write);
      }
    });
  }

  /** Marks the present, for `learn`. */
  mark(): number {
    this.#steps += 1;
    return this.#steps;
  }

  /** Takes what was read after `mark`: the newest sequence of a subject (0: none), unless a write has gone further since. */
  learn(subject: string, sequence: number, mark: number): void {
    const known = this.#known.get(subject);
    if (known !== undefined && known.at > mark) return;
    this.#known.set(subject, { sequence, at: mark });
    this.#unsure.delete(subject);
  }

  /** As `learn` with 0 for every known subject of a prefix that was not seen: a store can be destroyed and made anew. */
  forgetUnseen(prefix: string, seen: ReadonlySet<string>, mark: number): void {
    for (const subject of this.#known.keys()) {
      if (subject.startsWith(prefix) && !seen.has(subject)) this.learn(subject, 0, mark);
    }
  }

  async #writeInTurn(write: LinearWrite): Promise<void> {
    try {
      await this.#publish(write);
      return;
    } catch (thrown) {
      const error = failure(thrown, write);
      if (error.code !== "BUS_CONFLICT") throw error;
      const unsure = this.#unsure.get(write.subject) ?? [];
      const newest = unsure.length === 0 ? undefined : await this.#newest(write);
      if (newest === undefined || !holds(unsure, newest.bytes)) throw error;
      this.#know(write.subject, newest.sequence);
      if (sameBytes(newest.bytes, write.bytes)) return;
    }
    await this.#publish(write);
  }

  async #publish(write: LinearWrite): Promise<void> {
    const { nats, timeoutMs } = this.#options;
    const expected = this.#known.get(write.subject)?.sequence ?? 0;
    const client = jetstream(nats()); // outside of the try: without a connection nothing is sent
    try {
      const ack = await client.publish(write.subject, write.bytes, {
        expect: { lastSubjectSequence: expected },
        timeout: timeoutMs,
      });
      if (ack.stream !== write.stream) {
        throw new EventsError(
          "BUS_MISCONFIGURED",
          `cannot ${write.what}: the stream ${ack.stream} took it, which should be ${write.stream}; remove the stream that overlaps`,
        );
      }
      this.#know(write.subject, ack.seq);
    } catch (thrown) {
      const error = failure(thrown, write);
      const open = error.code === "BUS_TIMEOUT" || error.code === "BUS_UNREACHABLE";
      const unsure = this.#unsure.get(write.subject) ?? [];
      if (open && !holds(unsure, write.bytes)) {
        this.#unsure.set(write.subject, [...unsure, write.bytes]);
      }
      throw error;
    }
  }

  #newest(write: LinearWrite): Promise<StoredMessage | undefined> {
    return newestMessage(this.#options.nats(), write);
  }

  #know(subject: string, sequence: number): void {
    this.#known.set(subject, { sequence, at: this.mark() });
    this.#unsure.delete(subject);
  }
}

function holds(candidates: readonly Uint8Array[], bytes: Uint8Array): boolean {
  return candidates.some((candidate) => sameBytes(candidate, bytes));
}

function sameBytes(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.compare(one, other) === 0;
}
