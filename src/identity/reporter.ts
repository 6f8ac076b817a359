import type { AuthorityUse, ConsumerReport, HeadRef } from "../core/envelope/payloads.ts";
import type { Version } from "../core/envelope/version.ts";
import { exponentialBackoff } from "../kit/backoff.ts";
import type { Clock, Timer } from "../kit/clock.ts";
import { reasonOf } from "../kit/errors.ts";
import type { Log } from "../kit/log.ts";
import type { Random } from "../kit/random.ts";
import type { IssuerClient } from "./issuer-client.ts";
import type { NodeIdentity } from "./node-identity.ts";
import type { AskIssuer } from "./ports.ts";

/** Changes are gathered this long: below the second that protocol.md allows, above the time a push to all local Envoys takes. */
const gatherMs = 150;

/** Without any change an acknowledgement is sent this often. */
const everyMs = 300_000;

/** What a node tells of itself. */
export interface NodeReport {
  readonly highest: HeadRef | null;
  readonly applied: Readonly<Record<string, Version>>;
  readonly consumers: readonly ConsumerReport[];
  readonly authorities: readonly AuthorityUse[];
  /** From the newest head: how far a fleet's acknowledgements are spread. */
  readonly spreadMs: number;
}

export interface ReporterOptions {
  readonly identity: NodeIdentity;
  readonly client: IssuerClient;
  readonly ask: AskIssuer;
  /** Names this run of the daemon; counters start anew with it. */
  readonly boot: string;
  readonly report: () => NodeReport;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** Sends the node's signed acknowledgements: the first at once, later ones gathered and spread, each until it is answered. */
export class Reporter {
  readonly #options: ReporterOptions;
  #counter = 0;
  #sending = false;
  #dirty = false;
  #timer: Timer | undefined;
  /** Runs while nothing happens: the regular acknowledgement. */
  #idle: Timer | undefined;
  /** Before {@link Reporter.start} changes are only remembered. */
  #started = false;
  #stopped = false;

  constructor(options: ReporterOptions) {
    this.#options = options;
  }

  /** The bus is connected: the first acknowledgement goes out at once. */
  start(): void {
    this.#started = true;
    this.changed();
  }

  /** Something that the issuer should know has changed. */
  changed(): void {
    this.#dirty = true;
    if (this.#started && !this.#sending) this.#schedule();
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
    this.#idle?.cancel();
  }

  #schedule(): void {
    if (this.#stopped || this.#timer !== undefined) return;
    const { clock, random, report } = this.#options;
    const delay = this.#counter === 0 ? 0 : gatherMs + random.fraction() * report().spreadMs;
    this.#timer = clock.after(delay, () => {
      this.#timer = undefined;
      void this.#send();
    });
  }

  async #send(): Promise<void> {
    const { clock, random, log } = this.#options;
    const backoff = exponentialBackoff({ baseMs: 1000, maxMs: 60_000, random });
    this.#idle?.cancel();
    this.#sending = true;
    while (!this.#stopped) {
      this.#dirty = false;
      try {
        await this.#sendOnce();
        break;
      } catch (thrown) {
        log.debug(
          { reason: reasonOf(thrown) },
          "the acknowledgement was not answered; trying again",
        );
        await new Promise<void>((resolve) => clock.after(backoff.next(), resolve));
      }
    }
    this.#sending = false;
    if (this.#dirty) this.#schedule();
    else this.#idle = clock.after(everyMs, () => this.changed());
  }

  async #sendOnce(): Promise<void> {
    const { identity, client, ask, boot, report } = this.#options;
    this.#counter += 1;
    const { highest, applied, consumers, authorities } = report();
    const stamp = client.stamp(identity.id);
    const counter = this.#counter;
    await client.ask({
      kind: "ack",
      answer: "ack-reply",
      payload: (at) => ({ ...stamp, at, boot, counter, highest, applied, consumers, authorities }),
      signer: identity.signer,
      send: (bytes, timeoutMs) => ask("ack", bytes, { timeoutMs }),
    });
  }
}
