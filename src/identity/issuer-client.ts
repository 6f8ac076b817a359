import {
  type EnvelopeSigner,
  type Opened,
  openEnvelope,
  sealEnvelope,
} from "../core/envelope/envelope.ts";
import type { Kind, Payloads } from "../core/envelope/kinds.ts";
import { base32 } from "../core/envelope/object-keys.ts";
import type { NodeRequest, Reply } from "../core/envelope/payloads.ts";
import type { ControlTrust } from "../core/envelope/trust.ts";
import type { SpiffeId } from "../core/spiffe/spiffe-id.ts";
import { exponentialBackoff } from "../kit/backoff.ts";
import { type Clock, pause } from "../kit/clock.ts";
import { HeraldError, reasonOf } from "../kit/errors.ts";
import type { Log } from "../kit/log.ts";
import type { Random } from "../kit/random.ts";
import { IdentityError } from "./error.ts";

type RequestKind = Extract<
  Kind,
  | "sign-request"
  | "renew-request"
  | "state-request"
  | "ack"
  | "enrol-request"
  | "x509pop-enrol-request"
>;
type AnswerKind = { [K in Kind]: Payloads[K] extends Reply ? K : never }[Kind];

/** Three tries of two seconds each, same bytes: the issuer answers a repeated request with the same answer (ND-34). */
const tries = 3;
const timeoutMs = 2000;

/** A busy issuer says when to come again; what it says counts between these, so that no answer makes a node hammer or sleep. */
const soonestMs = 50;
const latestMs = 10_000;

/** So long a busy issuer is waited for, with the same bytes: well within the 60 s that a request lives. After that the request has failed. */
const patienceMs = 25_000;

/** One question: what is asked, how it travels, and what kind the answer must be. */
export interface Question<R extends RequestKind, A extends AnswerKind> {
  readonly kind: R;
  readonly answer: A;
  /** The payload as of a moment; asked again with the issuer's time when the first was refused for the clock. */
  readonly payload: (at: number) => Payloads[R];
  readonly signer: EnvelopeSigner;
  readonly send: (bytes: Uint8Array, timeoutMs: number) => Promise<Uint8Array>;
}

/** An answer, proven to come from an issuer and to be for this very request. */
export interface Answered<A extends AnswerKind> {
  readonly answer: Opened<A>;
  readonly request: string;
}

export interface IssuerClientOptions {
  readonly trust: ControlTrust;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** Asks issuers: seals the request, tries again, and believes only an answer that the pinned root vouches for and that names the request. */
export class IssuerClient {
  readonly #options: IssuerClientOptions;

  constructor(options: IssuerClientOptions) {
    this.#options = options;
  }

  /** What every node request says, with a fresh id. */
  stamp(node: SpiffeId): Omit<NodeRequest, "at"> {
    return {
      td: this.#options.trust.trustDomain,
      id: base32(this.#options.random.bytes(16)),
      node,
    };
  }

  /** Waits for a busy issuer as long as it asks for, which is no failure until it takes too long. @throws IdentityError REFUSED, NO_ANSWER, BAD_REPLY, BUSY */
  async ask<R extends RequestKind, A extends AnswerKind>(
    question: Question<R, A>,
  ): Promise<Answered<A>> {
    const { clock, log } = this.#options;
    const first = await this.#askAt(question, clock.now());
    if (first.answer.kind !== "refused") return first as Answered<A>;
    const refusal = first.answer as unknown as Opened<"refused">;
    if (refusal.payload.code !== "CLOCK") throw refusedError(refusal.payload);
    const offsetMs = refusal.payload.at - clock.now();
    log.error(
      { alarm: "clock", offsetMs },
      "this machine's clock differs from the issuer's; check NTP",
    );
    const second = await this.#askAt(question, clock.now() + offsetMs);
    if (second.answer.kind === "refused")
      throw refusedError((second.answer as unknown as Opened<"refused">).payload);
    return second as Answered<A>;
  }

  async #askAt<R extends RequestKind, A extends AnswerKind>(
    question: Question<R, A>,
    at: number,
  ): Promise<Answered<A | "refused">> {
    const sealed = await sealEnvelope(question.kind, question.payload(at), question.signer);
    const { clock, random } = this.#options;
    const backoff = exponentialBackoff({ baseMs: 100, maxMs: 1000, random });
    const until = clock.now() + patienceMs;
    let last: unknown;
    for (let left = tries; left > 0; ) {
      try {
        const bytes = await question.send(sealed.bytes, timeoutMs);
        const answer = this.#open(bytes, question.answer, sealed.digest);
        if (!isBusy(answer))
          return { answer: answer as Opened<A | "refused">, request: sealed.digest };
        await this.#waitFor(answer, until);
        // To be told "later" is an answer: it takes none of the tries, and gives back those that were lost.
        left = tries;
      } catch (thrown) {
        // Rubbish may come from whoever carries the answer, and the next one may come another way.
        if (thrown instanceof IdentityError && thrown.code !== "BAD_REPLY") throw thrown;
        last = thrown;
        left -= 1;
        if (left > 0) await pause(clock, backoff.next());
      }
    }
    if (last instanceof IdentityError) throw last;
    throw new IdentityError(
      "NO_ANSWER",
      `no answer to the ${question.kind} after ${tries} tries (${reasonOf(last)})`,
      { cause: last },
    );
  }

  /** Waits as told, within bounds, and up to half as long again: those who were told the same do not come back as one. @throws IdentityError BUSY */
  async #waitFor(busy: Opened<"busy">, until: number): Promise<void> {
    const { clock, random, log } = this.#options;
    const { retryAfterMs } = busy.payload;
    const told = Math.min(latestMs, Math.max(soonestMs, retryAfterMs));
    const waitMs = told * (1 + random.fraction() / 2);
    if (clock.now() + waitMs > until)
      throw new IdentityError("BUSY", "the issuer is busy and says to come again later");
    log.debug({ retryAfterMs, waitMs }, "the issuer is busy; asking again");
    await pause(clock, waitMs);
  }

  #open<A extends AnswerKind>(
    bytes: Uint8Array,
    kind: A,
    request: string,
  ): Opened<A | "refused" | "busy"> {
    const { trust, clock } = this.#options;
    let answer: Opened<A | "refused" | "busy">;
    try {
      answer = openEnvelope<A | "refused" | "busy">(
        bytes,
        [kind, "refused", "busy"],
        trust.at(clock.now()),
      );
    } catch (cause) {
      throw new IdentityError(
        "BAD_REPLY",
        `the answer was not signed by an issuer of ${trust.trustDomain} (${reasonOf(cause)})`,
        { cause },
      );
    }
    const { td, request: answered } = answer.payload as Reply;
    if (td !== trust.trustDomain || answered !== request)
      throw new IdentityError("BAD_REPLY", "the answer is for another request");
    return answer;
  }
}

function isBusy(answer: { readonly kind: Kind }): answer is Opened<"busy"> {
  return answer.kind === "busy";
}

function refusedError(refusal: Payloads["refused"]): IdentityError {
  return new IdentityError("REFUSED", `${refusal.code}: ${refusal.reason}`, {
    cause: new RefusalCause(refusal.code, refusal.reason),
  });
}

/** The issuer's own words, kept as the cause of a REFUSED error. */
class RefusalCause extends HeraldError<Payloads["refused"]["code"]> {}

/** The issuer's code when it refused, undefined for any other failure. */
export function refusalCode(thrown: unknown): Payloads["refused"]["code"] | undefined {
  return thrown instanceof IdentityError && thrown.cause instanceof RefusalCause
    ? thrown.cause.code
    : undefined;
}
