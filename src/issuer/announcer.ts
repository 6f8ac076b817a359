import type { SpiffeId } from "../core/spiffe/spiffe-id.ts";
import { exponentialBackoff } from "../kit/backoff.ts";
import type { Clock } from "../kit/clock.ts";
import { reasonOf } from "../kit/errors.ts";
import type { Log } from "../kit/log.ts";
import type { Random } from "../kit/random.ts";
import { newId } from "./identifiers.ts";
import type { EventStream } from "./ports.ts";
import { rememberedTime } from "./remembered-time.ts";

/** What services can hear of (nats.md section 9). */
export type EventType =
  | "svid.issued"
  | "svid.rotated"
  | "svid.denied"
  | "svid.revoked"
  | "bundle.updated"
  | "entry.created"
  | "entry.updated"
  | "entry.deleted"
  | "entries.applied"
  | "node.joined"
  | "node.renewed"
  | "node.banned"
  | "authority.prepared"
  | "authority.activated"
  | "authority.tainted"
  | "authority.revoked";

/** Announcements wait here while the stream is away; state is the truth, so the oldest may fall off (invariant 3). */
const mostWaiting = 10_000;

/** How many are on their way at once. Beyond a round trip's worth, more would only wait in the broker. */
const mostSending = 256;

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

/**
 * Publishes CloudEvents 1.0 (structured JSON, ND-40) for services, at least once while this process lives. Nothing waits for it. They are sent in order,
 * many before the first is acknowledged; one that was lost is sent again before anything new, and `sequence` tells services where it belongs.
 */
export class Announcer {
  readonly #options: AnnouncerOptions;
  /** Makes ids that no other process and no other run of this one makes. */
  readonly #run: string;
  #waiting: Waiting[] = [];
  #sending = false;
  #stopped = false;
  #sequence = 0;
  readonly #source: string;
  readonly #time = rememberedTime();

  constructor(options: AnnouncerOptions) {
    this.#options = options;
    this.#run = newId(options.random);
    this.#source = JSON.stringify(options.issuer);
  }

  announce(type: EventType, subject: string, data: Readonly<Record<string, unknown>>): void {
    const now = this.#options.clock.now();
    this.#sequence += 1;
    const id = `${this.#run}-${this.#sequence}`;
    // Written member by member: most are the same for all, and none of ours needs an escape.
    const event = `{"specversion":"1.0","id":"${id}","source":${this.#source},"type":"io.herald.${type}.v1","subject":${JSON.stringify(subject)},"time":"${this.#time(now)}","datacontenttype":"application/json","sequence":"${String(this.#sequence).padStart(16, "0")}","data":${JSON.stringify(data)}}`;
    const bytes = Buffer.from(event, "utf8");
    this.#waiting.push({ id, type, bytes });
    if (this.#waiting.length > mostWaiting) this.#waiting.shift();
    void this.#send();
  }

  stop(): void {
    this.#stopped = true;
  }

  async #send(): Promise<void> {
    if (this.#sending) return;
    const { stream, clock, random, log } = this.#options;
    const backoff = exponentialBackoff({ baseMs: 200, maxMs: 10_000, random });
    this.#sending = true;
    while (this.#waiting.length > 0 && !this.#stopped) {
      const group = this.#waiting.splice(0, mostSending);
      const sent = await Promise.allSettled(group.map((event) => stream.publishEvent(event)));
      const failed = sent.find((one) => one.status === "rejected");
      if (failed === undefined) {
        backoff.reset();
        continue;
      }
      const lost = group.filter((_event, at) => sent[at]?.status === "rejected");
      this.#waiting = [...lost, ...this.#waiting].slice(-mostWaiting);
      log.warn(
        { reason: reasonOf(failed.reason), waiting: this.#waiting.length },
        "the event stream does not answer; trying again",
      );
      await new Promise<void>((resolve) => clock.after(backoff.next(), resolve));
    }
    this.#sending = false;
  }
}
