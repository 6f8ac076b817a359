import { type EnvelopeSigner, openEnvelope, sealEnvelope } from "../core/envelope/envelope.ts";
import type { AuditAction } from "../core/envelope/payloads.ts";
import type { ControlTrust } from "../core/envelope/trust.ts";
import type { SpiffeId } from "../core/spiffe/spiffe-id.ts";
import type { Clock } from "../kit/clock.ts";
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
}

/**
 * This issuer's chain of audit records: each names the digest of the one before. A record is on the issuer's own disk and acknowledged by the
 * stream before {@link AuditChain.record} resolves; the next one is not made before, so at most one record can ever be missing from the stream, and
 * it is sent again, same bytes, by the next call or the next start.
 */
export class AuditChain {
  readonly #options: AuditChainOptions;
  #n = 0n;
  #prev = noRecord;
  #unsent: Uint8Array | undefined;
  #queue: Promise<unknown> = Promise.resolve();

  constructor(options: AuditChainOptions) {
    this.#options = options;
  }

  /** Goes on after the journal's newest record. Whether the stream has it is unknown, so it counts as unsent: the stream drops a second copy. */
  resume(newest: Uint8Array | undefined): void {
    if (newest === undefined) return;
    const opened = openEnvelope(newest, ["audit-record"], this.#options.trust.atAnyTime());
    this.#n = opened.payload.n;
    this.#prev = opened.digest;
    this.#unsent = newest;
  }

  /** @throws IssuerError AUDIT_UNAVAILABLE: whatever was to follow the record must not happen. */
  record(action: AuditAction): Promise<void> {
    const result = this.#queue.then(() => this.#record(action));
    this.#queue = result.catch(() => undefined);
    return result;
  }

  async #record(action: AuditAction): Promise<void> {
    await this.#send();
    const { issuer, trust, signer, journal, clock, name } = this.#options;
    const sealed = await sealEnvelope(
      "audit-record",
      { td: trust.trustDomain, at: clock.now(), issuer, n: this.#n + 1n, prev: this.#prev, action },
      signer,
    );
    await journal.append([{ kind: "audit", key: name, bytes: sealed.bytes }]);
    this.#n += 1n;
    this.#prev = sealed.digest;
    this.#unsent = sealed.bytes;
    await this.#send();
  }

  async #send(): Promise<void> {
    if (this.#unsent === undefined) return;
    try {
      await this.#options.stream.appendAudit(this.#options.name, this.#unsent);
      this.#unsent = undefined;
    } catch (cause) {
      throw new IssuerError(
        "AUDIT_UNAVAILABLE",
        "the audit stream did not take the record, so nothing was signed; check NATS with `herald doctor`",
        {
          cause,
        },
      );
    }
  }
}
