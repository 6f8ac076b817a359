import {
  type EnvelopeSigner,
  type Opened,
  openEnvelope,
  sealEnvelope,
} from "../core/envelope/envelope.ts";
import type { AuditAction, AuditPoint } from "../core/envelope/payloads.ts";
import type { ControlTrust } from "../core/envelope/trust.ts";
import type { SpiffeId } from "../core/spiffe/spiffe-id.ts";
import type { Clock } from "../kit/clock.ts";
import { reasonOf } from "../kit/errors.ts";
import type { Log } from "../kit/log.ts";
import { IssuerError } from "./error.ts";
import type { AuditStream, Journal } from "./ports.ts";

const noRecord = "0".repeat(64);

export interface AuditChainOptions {
  readonly issuer: SpiffeId;
  /** Name of this issuer's chain in the stream: one token. */
  readonly name: string;
  readonly trust: ControlTrust;
  readonly signer: EnvelopeSigner;
  readonly journal: Journal;
  readonly stream: AuditStream;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * This issuer's chain of audit records: each names the digest of the one before. A record is on the issuer's own disk and acknowledged by the
 * stream before {@link AuditChain.record} resolves; the next one is not made before. What the stream lost since, or never got, is sent again
 * from the journal, same bytes, by the next call or the next start.
 */
export class AuditChain {
  readonly #options: AuditChainOptions;
  #n = 0n;
  #prev = noRecord;
  #unsent: readonly Uint8Array[] = [];
  #newest: AuditPoint | undefined;
  #queue: Promise<unknown> = Promise.resolve();

  constructor(options: AuditChainOptions) {
    this.#options = options;
  }

  /** The newest record that is kept for good, so that it may be told of; undefined before the first. */
  get newest(): AuditPoint | undefined {
    return this.#newest;
  }

  /** Goes on after the newest record that the journal or the stream knows. `kept` are the journal's. */
  async resume(kept: readonly Uint8Array[]): Promise<void> {
    const { stream, name, log } = this.#options;
    const own = kept
      .map((bytes) => this.#open(bytes))
      .toSorted((a, b) => (a.payload.n < b.payload.n ? -1 : 1));
    const streamed = await stream.lastAudit(name);
    const last = streamed === undefined ? undefined : this.#tryOpen(streamed.bytes);
    const reached = last?.payload.n ?? 0n;
    const same = own.find((record) => record.payload.n === reached);
    if (last !== undefined && same !== undefined && same.digest !== last.digest) {
      log.error(
        { alarm: "audit-fork", n: String(reached) },
        "the audit stream holds another record than this issuer wrote",
      );
    }
    const unsent = own.filter((record) => record.payload.n > reached);
    if (unsent.length > 1)
      log.warn(
        { records: unsent.length },
        "the audit stream had lost records; sending them again from the journal",
      );
    this.#unsent = unsent.map((record) => record.bytes);
    const newest = unsent.at(-1) ?? last ?? own.at(-1);
    if (newest === undefined) return;
    this.#n = newest.payload.n;
    this.#prev = newest.digest;
    await this.#keepStreamed(last, own.at(-1));
    this.#newest = { issuer: this.#options.issuer, n: this.#n, digest: this.#prev };
  }

  /** A crash left this record in the stream alone; a broker that loses it later would leave a gap that nobody could fill. */
  async #keepStreamed(
    last: Opened<"audit-record"> | undefined,
    own: Opened<"audit-record"> | undefined,
  ): Promise<void> {
    if (last === undefined || last.payload.n <= (own?.payload.n ?? 0n)) return;
    const { journal, name } = this.#options;
    await journal.append([{ kind: "audit", key: `${name}.${last.payload.n}`, bytes: last.bytes }]);
  }

  /**
   * Compares the stream with what this chain has sent: a broker that came back without its newest records needs a restart of the issuer, which sends
   * them again from the journal.
   *
   * @throws IssuerError AUDIT_BEHIND
   */
  async check(): Promise<void> {
    const streamed = await this.#options.stream.lastAudit(this.#options.name);
    const last = streamed === undefined ? undefined : this.#tryOpen(streamed.bytes);
    const sent = this.#n - BigInt(this.#unsent.length);
    if ((last?.payload.n ?? 0n) < sent) {
      throw new IssuerError(
        "AUDIT_BEHIND",
        `the audit stream ends at record ${last?.payload.n ?? 0n}, this issuer has sent ${sent}: the broker lost its newest writes`,
      );
    }
  }

  /** @throws IssuerError AUDIT_UNAVAILABLE: whatever was to follow the record must not happen. */
  record(action: AuditAction): Promise<void> {
    const result = this.#queue.then(() => this.#record(action));
    this.#queue = result.catch(() => undefined);
    return result;
  }

  async #record(action: AuditAction): Promise<void> {
    await this.#catchUp();
    const { issuer, trust, signer, journal, clock, name } = this.#options;
    const n = this.#n + 1n;
    const sealed = await sealEnvelope(
      "audit-record",
      { td: trust.trustDomain, at: clock.now(), issuer, n, prev: this.#prev, action },
      signer,
    );
    this.#n = n;
    this.#prev = sealed.digest;
    this.#unsent = [sealed.bytes];
    // Side by side: nothing follows before both have it, and after a crash in between the next start goes on from whichever is ahead.
    const kept = journal.append([{ kind: "audit", key: `${name}.${n}`, bytes: sealed.bytes }]);
    const failed = (await Promise.allSettled([kept, this.#send()])).find(
      (result) => result.status === "rejected",
    );
    if (failed !== undefined) {
      throw new IssuerError(
        "AUDIT_UNAVAILABLE",
        "the audit record was not kept, so nothing was signed; see the issuer's disk, and NATS with `herald doctor`",
        {
          cause: failed.reason,
        },
      );
    }
    this.#newest = { issuer, n, digest: sealed.digest };
  }

  /** What the stream still lacks of before. */
  async #catchUp(): Promise<void> {
    try {
      await this.#send();
    } catch (cause) {
      throw new IssuerError(
        "AUDIT_UNAVAILABLE",
        "the audit stream does not take records, so nothing is signed; check NATS with `herald doctor`",
        { cause },
      );
    }
  }

  async #send(): Promise<void> {
    for (let next = this.#unsent[0]; next !== undefined; next = this.#unsent[0]) {
      await this.#options.stream.appendAudit(this.#options.name, next);
      this.#unsent = this.#unsent.slice(1);
    }
  }

  #open(bytes: Uint8Array): Opened<"audit-record"> {
    return openEnvelope(bytes, ["audit-record"], this.#options.trust.atAnyTime());
  }

  /** What the stream holds may be anything: the broker is not trusted with it. */
  #tryOpen(bytes: Uint8Array): Opened<"audit-record"> | undefined {
    try {
      const record = this.#open(bytes);
      return record.payload.issuer === this.#options.issuer ? record : undefined;
    } catch (refused) {
      this.#options.log.error(
        { alarm: "audit-forged", reason: reasonOf(refused) },
        "the audit stream holds a record that no issuer signed",
      );
      return undefined;
    }
  }
}
