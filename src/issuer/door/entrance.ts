import { claimOf, type EnvelopeSigner } from "../../core/envelope/envelope.ts";
import { payloadTypeOf } from "../../core/envelope/kinds.ts";
import { sha256Hex } from "../../core/envelope/pae.ts";
import type { NodeRecordState } from "../../core/envelope/payloads.ts";
import type { TrustDomain } from "../../core/spiffe/spiffe-id.ts";
import type { Clock } from "../../kit/clock.ts";
import { HeraldError, reasonOf } from "../../kit/errors.ts";
import type { Log } from "../../kit/log.ts";
import type { Metrics } from "../../kit/metrics.ts";
import { type ReplyKind, refuseOversized, reply } from "../requests.ts";
import {
  Admission,
  type AdmissionLimits,
  type Arrival,
  defaultAdmission,
  type Verdict,
} from "./admission.ts";
import { Answers } from "./answers.ts";
import { FairQueue } from "./fair-queue.ts";
import { type Reception, requestKinds } from "./reception.ts";

/** A request that gets no answer: there were too many of them. Its sender asks again on its own time. */
export class TurnedAway extends HeraldError<"TURNED_AWAY"> {}

export interface EntranceOptions {
  readonly reception: Pick<
    Reception,
    "handle" | "enrol" | "renewByHttps" | "forgetAnswers" | "stop"
  >;
  /** The record of a node by the token in its subjects. */
  readonly nodeOf: (token: string) => NodeRecordState | undefined;
  readonly admission?: AdmissionLimits;
  readonly trustDomain: TrustDomain;
  readonly signer: EnvelopeSigner;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** A request off the bus; `node` is the token in its subject. */
export interface Request {
  readonly kind: string;
  readonly node: string;
  readonly bytes: Uint8Array;
}

interface Job {
  readonly since: number;
  readonly start: () => Promise<void>;
  /** It is not worked on: too many wait, or nobody waits for it any more. */
  readonly giveUp: (cause: "full" | "late") => void;
}

/** What may be taken from one lane before it is the next one's turn, in CSRs: a full batch. */
const quantum = 64;

/** For those who find the queue full: by then, what waits now is done. */
const queueRetryMs = 1000;

/** Enrolments, and renewals by HTTPS, each wait in a lane of their own; the endpoint has limited them by address already. */
const lanes = { enrol: "https-enrol", renew: "https-renew" } as const;
const httpsCost = 8;

/**
 * Stands before the reception (TM-N-06): before anything is parsed or verified a request has to be within its node's limits; then it waits for its turn,
 * node by node, so that a loud one delays the others by no more than its share. Repeated bytes get the same answer for the price of a lookup.
 */
export class Entrance {
  readonly #options: EntranceOptions;
  readonly #limits: AdmissionLimits;
  readonly #admission: Admission;
  readonly #queue: FairQueue<Job>;
  readonly #answers: Answers;
  #running = 0;

  constructor(options: EntranceOptions) {
    const { clock, admission = defaultAdmission } = options;
    this.#options = options;
    this.#limits = admission;
    this.#admission = new Admission(admission, clock.now());
    const { mostWaiting, mostWaitingItems: mostCost } = admission;
    this.#queue = new FairQueue({ mostWaiting, mostCost, quantum });
    this.#answers = new Answers(clock);
  }

  /**
   * Answers a request off the bus, as {@link Reception.handle} does, or with a signed `busy`.
   * @throws TurnedAway where silence is meant
   */
  async handle(request: Request): Promise<Uint8Array> {
    const { clock } = this.#options;
    const { kind, node, bytes } = request;
    const record = this.#options.nodeOf(node);
    const known = record !== undefined && !record.banned && record.evictedAt === undefined;
    const arrival: Arrival = { kind, node, known, size: bytes.byteLength };
    const knocked = this.#admission.knock(arrival, clock.now());
    if (knocked.kind !== "enter") return await this.#turnAway(request, knocked, "rate");
    refuseOversized(bytes);
    const work = async (): Promise<Uint8Array> => {
      const entered = this.#admission.enter(arrival, clock.now());
      if (entered.kind !== "enter") return await this.#turnAway(request, entered, "rate");
      return await this.#inTurn(entered, {
        run: () => this.#options.reception.handle(request),
        busy: (cause) => {
          const later = this.#admission.later(arrival, queueRetryMs, clock.now());
          return this.#turnAway(request, later, cause);
        },
      });
    };
    // A banned node gets no answer of old times either.
    if (!known || !(kind === "sign" || kind === "renew")) return await work();
    const name = `${kind} ${node} ${sha256Hex(bytes)}`;
    if (this.#answers.has(name))
      this.#options.metrics.increment("herald_issuer_requests_repeated_total");
    return await this.#answers.of(name, work, isFinal);
  }

  /** As {@link Reception.enrol}. @throws TurnedAway */
  async enrol(bytes: Uint8Array): Promise<Uint8Array> {
    refuseOversized(bytes);
    return await this.#byHttps(lanes.enrol, () => this.#options.reception.enrol(bytes));
  }

  /** As {@link Reception.renewByHttps}. @throws TurnedAway */
  async renewByHttps(bytes: Uint8Array): Promise<Uint8Array> {
    refuseOversized(bytes);
    return await this.#byHttps(lanes.renew, () => this.#options.reception.renewByHttps(bytes));
  }

  /** As {@link Reception.forgetAnswers}. */
  forgetAnswers(): void {
    this.#answers.clear();
    this.#options.reception.forgetAnswers();
  }

  stop(): void {
    this.#options.reception.stop();
  }

  async #byHttps(lane: string, run: () => Promise<Uint8Array>): Promise<Uint8Array> {
    const busy = (cause: string): Promise<Uint8Array> => {
      this.#options.metrics.increment("herald_issuer_requests_silent_total", { cause });
      return Promise.reject(new TurnedAway("TURNED_AWAY", "too many requests wait"));
    };
    return await this.#inTurn({ lane, cost: httpsCost }, { run, busy });
  }

  #inTurn(
    { lane, cost }: { readonly lane: string; readonly cost: number },
    work: {
      readonly run: () => Promise<Uint8Array>;
      readonly busy: (cause: "full" | "late") => Promise<Uint8Array>;
    },
  ): Promise<Uint8Array> {
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
    const job: Job = {
      since: this.#options.clock.now(),
      start: async () => {
        try {
          resolve(await work.run());
        } catch (thrown) {
          reject(thrown);
        }
      },
      giveUp: (cause) => void work.busy(cause).then(resolve, reject),
    };
    for (const { item } of this.#queue.push({ lane, item: job, cost })) item.giveUp("full");
    this.#work();
    return promise;
  }

  /** Starts what may run now; whoever ends starts the next. */
  #work(): void {
    const { clock, metrics } = this.#options;
    while (this.#running < this.#limits.inFlightItems) {
      const next = this.#queue.next();
      if (next === undefined) break;
      const { item, cost } = next;
      if (clock.now() - item.since > this.#limits.waitMs) {
        item.giveUp("late");
        continue;
      }
      this.#running += cost;
      void item.start().then(() => {
        this.#running -= cost;
        this.#work();
      });
    }
    metrics.set("herald_issuer_queue_waiting", this.#queue.size);
  }

  async #turnAway(request: Request, verdict: Verdict, cause: string): Promise<Uint8Array> {
    const { metrics } = this.#options;
    const busy =
      verdict.kind === "busy" ? await this.#busy(request, verdict.retryAfterMs) : undefined;
    if (busy !== undefined) {
      metrics.increment("herald_issuer_requests_busy_total", { cause });
      return busy;
    }
    metrics.increment("herald_issuer_requests_silent_total", { cause });
    throw new TurnedAway("TURNED_AWAY", "too many requests; asking again later helps");
  }

  /** undefined: it is no request of that kind, and nobody could believe an answer to it. */
  async #busy({ kind, bytes }: Request, retryAfterMs: number): Promise<Uint8Array | undefined> {
    const { trustDomain: td, clock, signer, log } = this.#options;
    try {
      const claim = claimOf(bytes);
      if (claim.kind === undefined || claim.kind !== requestKinds[kind]) return undefined;
      const stamp = { td, at: clock.now(), request: claim.digest };
      return await reply("busy", { ...stamp, retryAfterMs }, signer);
    } catch (thrown) {
      log.debug({ reason: reasonOf(thrown) }, "a request that is none was turned away");
      return undefined;
    }
  }
}

/** "No" and "later" are said anew each time. An envelope begins with its payload type. */
function isFinal(answer: Uint8Array): boolean {
  const kinds: readonly ReplyKind[] = ["refused", "busy"];
  const start = Buffer.from(answer.subarray(0, 128)).toString("latin1");
  return !kinds.some((kind) => start.includes(`"${payloadTypeOf(kind)}"`));
}
