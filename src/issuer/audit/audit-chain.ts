import type { AuditAction, AuditRecord } from "../../core/envelope/audit-payloads.ts";
import {
  type EnvelopeSigner,
  type Opened,
  openEnvelope,
  sealEnvelope,
  sealProvenParts,
} from "../../core/envelope/envelope.ts";
import type { AuditPoint } from "../../core/envelope/payloads.ts";
import type { ControlTrust } from "../../core/envelope/trust.ts";
import type { SpiffeId } from "../../core/spiffe/spiffe-id.ts";
import type { Clock } from "../../kit/clock.ts";
import { reasonOf } from "../../kit/errors.ts";
import type { Log } from "../../kit/log.ts";
import { IssuerError } from "../error.ts";
import type { AuditStream, Journal } from "../ports.ts";

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
  /** Hears every record of this chain: those kept, oldest first, and each one as it is made, before anything is done about it. */
  readonly onRecord: (record: AuditRecord) => void;
}

/** How many records may be on their way at once: far fewer than the journal keeps, so that a crash loses none of them. */
const mostUnsent = 64;

/** A record that is made and linked, and not yet acknowledged by the stream. */
interface Unsent {
  readonly bytes: Uint8Array;
  readonly digest: string;
  /** Resolves when every record before it is on this issuer's disk; undefined when they are. */
  readonly before: Promise<unknown> | undefined;
  readonly acknowledged: PromiseWithResolvers<void>;
}

/**
 * This issuer's chain of audit records: each names the digest of the one before. A record, and with it every record before, is on the issuer's own
 * disk and acknowledged by the stream before {@link AuditChain.record} resolves. Records do not wait for each other to be made and written: those that
 * come together share a sync of the journal, and the stream is sent one after the other, never more than one ahead of the disk. When one fails, all behind it
 * fail with it. What the stream lost since, or never got, is sent again from the journal, same bytes, by the next call or the next start.
 */
export class AuditChain {
  readonly #options: AuditChainOptions;
  #n = 0n;
  #prev = noRecord;
  #unsent: readonly Unsent[] = [];
  #newest: AuditPoint | undefined;
  /** Resolves when every record so far is on this issuer's disk; undefined when they are. */
  #onDisk: Promise<unknown> | undefined;
  #queue: Promise<unknown> = Promise.resolve();
  #sending: Promise<void> | undefined;
  /** Why the journal takes no more; only a restart mends that. */
  #broken: { readonly cause: unknown } | undefined;

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
    for (const { payload } of own) this.#options.onRecord(payload);
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
        "the audit stream lacks records; sending them again from the journal",
      );
    this.#unsent = unsent.map((record) => waiting(record, undefined));
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
    const { journal, name, onRecord } = this.#options;
    await journal.append([{ kind: "audit", key: `${name}.${last.payload.n}`, bytes: last.bytes }]);
    onRecord(last.payload);
  }

  /**
   * Compares the stream with what this chain has sent: a broker that came back without its newest records needs a restart of the issuer, which sends
   * them again from the journal. A record whose acknowledgement was lost is found to be there, and not sent once more.
   *
   * @throws IssuerError AUDIT_BEHIND
   */
  async check(): Promise<void> {
    // Counted first: what is acknowledged while the stream is asked may be missing in its answer.
    const sent = this.#n - BigInt(this.#unsent.length);
    const streamed = await this.#options.stream.lastAudit(this.#options.name);
    const last = streamed === undefined ? undefined : this.#tryOpen(streamed.bytes);
    if ((last?.payload.n ?? 0n) < sent) {
      throw new IssuerError(
        "AUDIT_BEHIND",
        `the audit stream ends at record ${last?.payload.n ?? 0n}, this issuer has sent ${sent}: the broker lost its newest writes`,
      );
    }
    if (last !== undefined) this.#tookUpTo(last);
  }

  /** That record, and with it every one before, is in the stream whatever became of the answers. */
  #tookUpTo({ digest }: Opened<"audit-record">): void {
    const end = this.#unsent.findIndex((record) => record.digest === digest) + 1;
    const taken = this.#unsent.slice(0, end);
    this.#unsent = this.#unsent.slice(end);
    for (const { acknowledged } of taken) acknowledged.resolve();
  }

  /** @throws IssuerError AUDIT_UNAVAILABLE: whatever was to follow the record must not happen. */
  async record(action: AuditAction): Promise<void> {
    const made = this.#queue.then(() => this.#make(action));
    this.#queue = made.catch(() => undefined);
    const { kept } = await made;
    await kept;
  }

  /** Makes the next record and sets off both writes. `kept` is wrapped, so that whoever comes next does not wait for it. */
  async #make(action: AuditAction): Promise<{ readonly kept: Promise<unknown> }> {
    await this.#catchUp();
    const { issuer, trust, signer, journal, clock, name, onRecord } = this.#options;
    const n = this.#n + 1n;
    const payload = { td: trust.trustDomain, at: clock.now(), issuer, n, prev: this.#prev, action };
    const sealed = await (action.kind === "svids-issued"
      ? sealProvenParts("audit-record", payload, signer)
      : sealEnvelope("audit-record", payload, signer));
    this.#n = n;
    this.#prev = sealed.digest;
    const record = waiting(sealed, this.#onDisk);
    this.#unsent = [...this.#unsent, record];
    const onDisk = this.#keep(
      journal.append([{ kind: "audit", key: `${name}.${n}`, bytes: sealed.bytes }]),
    );
    // Side by side: nothing follows before both have it, and after a crash in between the next start goes on from whichever is ahead.
    this.#sending ??= this.#send().finally(() => {
      this.#sending = undefined;
    });
    this.#sending.catch(() => undefined);
    const kept = Promise.all([onDisk, record.acknowledged.promise]).then(
      () => {
        this.#newest = { issuer, n, digest: sealed.digest };
        onRecord(payload);
      },
      (cause: unknown) => {
        throw notKept(cause);
      },
    );
    kept.catch(() => undefined);
    return { kept };
  }

  /** The same, and every record before. */
  #keep(written: Promise<void>): Promise<unknown> {
    const onDisk = Promise.all([this.#onDisk, written]);
    this.#onDisk = onDisk;
    onDisk.then(
      () => {
        if (this.#onDisk === onDisk) this.#onDisk = undefined;
      },
      (cause: unknown) => {
        this.#broken ??= { cause };
      },
    );
    return onDisk;
  }

  /** Waits until there is room, and sends what the stream still lacks of before. */
  async #catchUp(): Promise<void> {
    if (this.#broken !== undefined) throw notKept(this.#broken.cause);
    while (this.#sending !== undefined && this.#unsent.length >= mostUnsent)
      await this.#unsent[0]?.acknowledged.promise.catch(() => undefined);
    if (this.#sending !== undefined) return;
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

  /** One after the other, until none is left or one fails; then all that wait fail, and stay to be sent again. */
  async #send(): Promise<void> {
    try {
      for (let next = this.#unsent[0]; next !== undefined; next = this.#unsent[0]) {
        if (next.before !== undefined) await next.before;
        await this.#options.stream.appendAudit(this.#options.name, next.bytes);
        this.#unsent = this.#unsent.filter((record) => record !== next);
        next.acknowledged.resolve();
      }
    } catch (cause) {
      for (const record of this.#unsent) record.acknowledged.reject(cause);
      throw cause;
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

function waiting(
  { bytes, digest }: Pick<Unsent, "bytes" | "digest">,
  before: Unsent["before"],
): Unsent {
  const acknowledged = Promise.withResolvers<void>();
  // Heard by whoever waits for the record; one of an earlier start has nobody.
  acknowledged.promise.catch(() => undefined);
  return { bytes, digest, before, acknowledged };
}

function notKept(cause: unknown): IssuerError {
  return new IssuerError(
    "AUDIT_UNAVAILABLE",
    "the audit record was not kept, so nothing was signed; see the issuer's disk, and NATS with `herald doctor`",
    { cause },
  );
}
