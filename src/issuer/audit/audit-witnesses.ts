import {
  type EnvelopeSigner,
  type Opened,
  openEnvelope,
  sealEnvelope,
} from "../../core/envelope/envelope.ts";
import type { AuditPoint } from "../../core/envelope/payloads.ts";
import type { ControlTrust } from "../../core/envelope/trust.ts";
import type { SpiffeId } from "../../core/spiffe/spiffe-id.ts";
import type { Clock, Timer } from "../../kit/clock.ts";
import { reasonOf } from "../../kit/errors.ts";
import type { Log } from "../../kit/log.ts";
import type { Metrics } from "../../kit/metrics.ts";
import { IssuerError } from "../error.ts";
import type { AuditStream } from "../ports.ts";

/** Somebody outside of the issuer and its broker who keeps checkpoints of the audit chain: what was witnessed cannot be rewritten unseen. */
export interface AuditWitness {
  /** As operators configured it, for logs: `file /mnt/witness`. */
  readonly name: string;
  /** The witness keeps it durably once this resolves. It is an envelope of kind `audit-checkpoint`. */
  submit(checkpoint: Uint8Array): Promise<void>;
  /** The newest that it keeps of this issuer; undefined for none. Believed only as far as its signature. */
  last(issuer: SpiffeId): Promise<Uint8Array | undefined>;
}

/** A witness, and whether anything may be issued without it. */
interface WitnessSetting {
  readonly witness: AuditWitness;
  readonly required: boolean;
}

/** How checkpoints are handed out. */
export interface WitnessSettings {
  readonly everyMs: number;
  readonly witnesses: readonly WitnessSetting[];
}

export interface AuditWitnessesOptions extends WitnessSettings {
  readonly issuer: SpiffeId;
  readonly trust: ControlTrust;
  readonly signer: EnvelopeSigner;
  /** The newest record that is kept for good. */
  readonly newest: () => AuditPoint | undefined;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
}

interface Standing extends WitnessSetting {
  /** The newest record that it vouches for. */
  reached: bigint;
  /** Since when it lacks a record; undefined while it has all. */
  lacksSince: number | undefined;
  busy: boolean;
  failing: boolean;
}

/** A required witness may be behind by this many intervals, and by a minute at least, before nothing more is recorded. */
const patienceIntervals = 6;
const leastPatienceMs = 60_000;

/**
 * Hands checkpoints of the audit chain to external witnesses, each on its own. A witness that is away is alarmed; only one that is `required` stops
 * issuance, after {@link patienceIntervals}: nothing that it has not seen shall grow without bound.
 */
export class AuditWitnesses {
  readonly #options: AuditWitnessesOptions;
  readonly #standing: readonly Standing[];
  #timer: Timer | undefined;
  #stopped = false;

  constructor(options: AuditWitnessesOptions) {
    this.#options = options;
    this.#standing = options.witnesses.map((setting) => ({
      ...setting,
      reached: 0n,
      lacksSince: undefined,
      busy: false,
      failing: false,
    }));
  }

  /**
   * Compares the chain with what each witness saw last. `digestAt` gives the digest of one record of the chain, undefined where it is no longer kept.
   *
   * @throws IssuerError AUDIT_CONTRADICTED: the chain was cut or written anew; WITNESS_AWAY: a required witness does not answer
   */
  async compare(digestAt: (n: bigint) => Promise<string | undefined>): Promise<void> {
    for (const standing of this.#standing) {
      const last = await this.#lastOf(standing);
      if (last === undefined) continue;
      const digest = await digestAt(last.n);
      const newest = this.#options.newest()?.n ?? 0n;
      refuseContradiction(standing.witness.name, last, { newest, digest });
      if (digest === undefined)
        this.#options.log.error(
          { alarm: "audit-unverified", witness: standing.witness.name, n: String(last.n) },
          "the record that the audit witness saw last is kept nowhere any more, so the chain was not held against it; run `herald audit verify`",
        );
      standing.reached = last.n;
    }
  }

  /** From now on checkpoints go out. */
  start(): void {
    if (this.#standing.length === 0 || this.#stopped) return;
    this.#tick();
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  /** The stream, which takes no record while a required witness is too far behind. */
  guarding(stream: AuditStream): AuditStream {
    if (this.#standing.length === 0) return stream;
    return {
      appendAudit: async (issuer, bytes) => {
        this.#refuseUnwitnessed();
        await stream.appendAudit(issuer, bytes);
        const now = this.#options.clock.now();
        for (const standing of this.#standing) standing.lacksSince ??= now;
      },
      lastAudit: async (issuer) => await stream.lastAudit(issuer),
    };
  }

  /** Every witness with what it keeps, or why it does not tell: for `herald audit verify`. */
  async told(): Promise<
    readonly {
      readonly name: string;
      readonly checkpoint: Uint8Array | undefined;
      readonly problem: string;
    }[]
  > {
    return await Promise.all(
      this.#standing.map(async ({ witness }) => {
        const { name } = witness;
        try {
          return { name, checkpoint: await witness.last(this.#options.issuer), problem: "" };
        } catch (thrown) {
          return { name, checkpoint: undefined, problem: reasonOf(thrown) };
        }
      }),
    );
  }

  #refuseUnwitnessed(): void {
    const patience = Math.max(leastPatienceMs, patienceIntervals * this.#options.everyMs);
    const now = this.#options.clock.now();
    const behind = this.#standing.find(
      ({ required, lacksSince }) =>
        required && lacksSince !== undefined && now - lacksSince > patience,
    );
    if (behind === undefined) return;
    throw new IssuerError(
      "WITNESS_AWAY",
      `the audit witness ${behind.witness.name} is required and takes no checkpoints, so nothing is issued; bring it back, or set required: false`,
    );
  }

  #tick(): void {
    if (this.#stopped) return;
    for (const standing of this.#standing) void this.#submit(standing);
    this.#timer = this.#options.clock.after(this.#options.everyMs, () => this.#tick());
  }

  async #submit(standing: Standing): Promise<void> {
    const { trust, signer, clock, newest, log, metrics } = this.#options;
    const point = newest();
    if (standing.busy) return;
    if (point === undefined || point.n <= standing.reached) {
      standing.lacksSince = undefined;
      return;
    }
    standing.busy = true;
    const begun = clock.now();
    const { name } = standing.witness;
    try {
      const checkpoint = { td: trust.trustDomain, at: begun, ...point };
      await standing.witness.submit(
        (await sealEnvelope("audit-checkpoint", checkpoint, signer)).bytes,
      );
      standing.reached = point.n;
      // What came while it was on its way has not been seen.
      standing.lacksSince = (newest()?.n ?? 0n) > point.n ? begun : undefined;
      if (standing.failing) log.info({ witness: name }, "the audit witness is back");
      standing.failing = false;
    } catch (thrown) {
      metrics.increment("herald_issuer_audit_witness_failures_total", { witness: name });
      const facts = { alarm: "audit-witness", witness: name, reason: reasonOf(thrown) };
      if (standing.failing) log.debug(facts, "the audit witness is still away");
      else log.error(facts, "an audit witness takes no checkpoint; trying again");
      standing.failing = true;
    } finally {
      standing.busy = false;
    }
  }

  async #lastOf({ witness, required }: Standing): Promise<AuditPoint | undefined> {
    const { issuer, log } = this.#options;
    let bytes: Uint8Array | undefined;
    try {
      bytes = await witness.last(issuer);
    } catch (cause) {
      if (required)
        throw new IssuerError(
          "WITNESS_AWAY",
          `the audit witness ${witness.name} is required and does not say what it saw (${reasonOf(cause)}); bring it back, or set required: false`,
          { cause },
        );
      log.error(
        { alarm: "audit-witness", witness: witness.name, reason: reasonOf(cause) },
        "an audit witness does not say what it saw: this start was not held against it",
      );
    }
    return bytes === undefined ? undefined : this.#proven(witness.name, bytes)?.payload;
  }

  #proven(witness: string, bytes: Uint8Array): Opened<"audit-checkpoint"> | undefined {
    const { trust, issuer, log } = this.#options;
    let reason = "it is another issuer's";
    try {
      const opened = openEnvelope(bytes, ["audit-checkpoint"], trust.atAnyTime());
      if (opened.payload.issuer === issuer) return opened;
    } catch (thrown) {
      reason = reasonOf(thrown);
    }
    log.error(
      { alarm: "audit-witness-forged", witness, reason },
      "an audit witness shows a checkpoint that this issuer never signed",
    );
    return undefined;
  }
}

function refuseContradiction(
  witness: string,
  seen: AuditPoint,
  own: { readonly newest: bigint; readonly digest: string | undefined },
): void {
  if (own.newest >= seen.n && (own.digest === undefined || own.digest === seen.digest)) return;
  const what =
    own.newest < seen.n
      ? `ends at record ${own.newest}, and the witness ${witness} has seen record ${seen.n}: it was cut off`
      : `has another record ${seen.n} than the witness ${witness} has seen: it was written anew`;
  throw new IssuerError(
    "AUDIT_CONTRADICTED",
    `this issuer's audit chain ${what}. Keep the state folder, the stream HB_AUDIT and the witness as evidence and run \`herald audit verify\`; then restore the state folder from a backup, or, when the loss is explained, give the issuer an empty witness`,
  );
}
