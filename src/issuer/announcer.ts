import type { SpiffeId } from "../core/spiffe/spiffe-id.ts";
import { exponentialBackoff } from "../kit/backoff.ts";
import type { Clock } from "../kit/clock.ts";
import { reasonOf } from "../kit/errors.ts";
import type { Log } from "../kit/log.ts";
import type { Random } from "../kit/random.ts";
import { newId } from "./identifiers.ts";
import type { EventStream } from "./ports.ts";

/** What services can hear of (nats.md section 9). */
export type EventType =
  | "svid.issued"
  | "svid.rotated"
  | "svid.denied"
  | "bundle.updated"
  | "entry.created"
  | "entry.deleted"
  | "node.joined"
  | "node.renewed"
  | "authority.prepared"
  | "authority.activated"
  | "authority.tainted"
  | "authority.revoked";

/** Announcements wait here while the stream is away; state is the truth, so the oldest may fall off (invariant 3). */
const mostWaiting = 10_000;

export interface AnnouncerOptions {
  readonly issuer: SpiffeId;
  readonly stream: EventStream;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

interface Waiting {
  readonly id: string;
  readonly type: string;
  readonly bytes: Uint8Array;
}

/** Publishes CloudEvents 1.0 (structured JSON, ND-40) for services, in order, at least once while this process lives. Nothing waits for it. */
export class Announcer {
  readonly #options: AnnouncerOptions;
  readonly #waiting: Waiting[] = [];
  #sending = false;
  #stopped = false;
  #sequence = 0;

  constructor(options: AnnouncerOptions) {
    this.#options = options;
  }

  announce(type: EventType, subject: string, data: Readonly<Record<string, unknown>>): void {
    const { issuer, clock, random } = this.#options;
    const now = clock.now();
    const id = `${now.toString(36)}-${newId(random)}`;
    this.#sequence += 1;
    const event = {
      specversion: "1.0",
      id,
      source: issuer,
      type: `io.herald.${type}.v1`,
      subject,
      time: new Date(now).toISOString(),
      datacontenttype: "application/json",
      sequence: String(this.#sequence).padStart(16, "0"),
      data,
    };
    this.#waiting.push({
      id,
      type,
      bytes: Buffer.from(JSON.stringify(event), "utf8"),
    });
    if (this.#waiting.length > mostWaiting) this.#waiting.shift();
    void this.#send();
  }

  stop(): void {
    this.#stopped = true;
  }

  /** The oldest that waits; none once stopped. */
  #next(): Waiting | undefined {
    return this.#stopped ? undefined : this.#waiting[0];
  }

  async #send(): Promise<void> {
    if (this.#sending || this.#stopped) return;
    const { stream, clock, random, log } = this.#options;
    const backoff = exponentialBackoff({ baseMs: 200, maxMs: 10_000, random });
    this.#sending = true;
    for (let next = this.#next(); next !== undefined; next = this.#next()) {
      try {
        await stream.publishEvent(next);
        if (this.#waiting[0] === next) this.#waiting.shift();
        backoff.reset();
      } catch (thrown) {
        log.warn(
          { reason: reasonOf(thrown), waiting: this.#waiting.length },
          "the event stream does not answer; trying again",
        );
        await new Promise<void>((resolve) => clock.after(backoff.next(), resolve));
      }
    }
    this.#sending = false;
  }
}
