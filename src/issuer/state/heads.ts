import { type EnvelopeSigner, sealEnvelope } from "../../core/envelope/envelope.ts";
import {
  bundleKey,
  controlKey,
  groupIndexKey,
  revocationsKey,
} from "../../core/envelope/object-keys.ts";
import type { AuditPoint, HeadRef, ObjectRef } from "../../core/envelope/payloads.ts";
import type { TrustDomain } from "../../core/spiffe/spiffe-id.ts";
import type { Clock, Timer } from "../../kit/clock.ts";
import { reasonOf } from "../../kit/errors.ts";
import type { Log } from "../../kit/log.ts";
import type { HeadBroadcast } from "../ports.ts";
import type { SignedState } from "./signed-state.ts";

/** At most one head a second, however fast state changes; the objects themselves are broadcast as they are written. */
const leastGapMs = 1000;

export interface HeadsOptions {
  readonly trustDomain: TrustDomain;
  readonly state: SignedState;
  readonly signer: EnvelopeSigner;
  readonly broadcast: HeadBroadcast;
  readonly clock: Clock;
  readonly log: Log;
  readonly intervalMs: number;
  /** Where this issuer's audit chain stands. */
  readonly audit: { readonly newest: AuditPoint | undefined };
  /** How many nodes there are: their acknowledgements of one change are spread the wider the more they are. */
  readonly nodes: () => number;
}

/** Of acknowledgements, that one issuer takes in without effort. */
const ackEveryMs = 2;
const mostAckSpreadMs = 60_000;

/** Tells every node, again and again, what the newest state is: silence, rollback and withholding show against it (MEC-07). */
export class Heads {
  readonly #options: HeadsOptions;
  #n = 0n;
  #newest: Uint8Array | undefined;
  #lastAt = Number.NEGATIVE_INFINITY;
  #timer: Timer | undefined;
  #stopped = false;

  constructor(options: HeadsOptions) {
    this.#options = options;
  }

  /** The newest head's envelope; there is one after {@link Heads.announce}. */
  get newest(): Uint8Array | undefined {
    return this.#newest;
  }

  ref(): HeadRef {
    return { epoch: this.#options.state.epoch, term: this.#options.state.term, n: this.#n };
  }

  /** Signs and sends a head now, or as soon as the least gap allows; the regular ones go on from there. */
  async announce(): Promise<void> {
    if (this.#stopped) return;
    const now = this.#options.clock.now();
    // A clock that was set back must not keep heads waiting for as long as the step was.
    const wait = Math.min(leastGapMs, this.#lastAt + leastGapMs - now);
    if (wait > 0 && this.#newest !== undefined) {
      this.#schedule(wait);
      return;
    }
    this.#lastAt = now;
    this.#schedule(this.#options.intervalMs);
    await this.#send(now);
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  async #send(now: number): Promise<void> {
    const { trustDomain, state, signer, broadcast, intervalMs, nodes } = this.#options;
    if (state.fenced) return;
    this.#n += 1n;
    const objects: Record<string, ObjectRef> = {};
    for (const key of [
      controlKey,
      bundleKey(trustDomain),
      revocationsKey(trustDomain),
      groupIndexKey,
    ]) {
      const ref = state.ref(key);
      if (ref !== undefined) objects[key] = ref;
    }
    const audit = this.#options.audit.newest;
    const head = {
      td: trustDomain,
      at: now,
      epoch: state.epoch,
      term: state.term,
      n: this.#n,
      objects,
      merkleRoot: state.merkleRoot(),
      viewEveryMs: 2 * intervalMs,
      ackSpreadMs: Math.min(nodes() * ackEveryMs, mostAckSpreadMs),
      expires: now + 3 * intervalMs,
      ...(audit === undefined ? {} : { audit }),
    };
    this.#newest = (await sealEnvelope("head", head, signer)).bytes;
    broadcast.broadcastHead(this.#newest);
  }

  #schedule(delayMs: number): void {
    this.#timer?.cancel();
    this.#timer = this.#options.clock.after(delayMs, () => {
      this.announce().catch((thrown: unknown) =>
        this.#options.log.error({ reason: reasonOf(thrown) }, "could not send a head"),
      );
    });
  }
}
