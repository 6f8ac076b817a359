import type { AuditRecord } from "../../src/core/envelope/audit-payloads.ts";
import { claimOf } from "../../src/core/envelope/envelope.ts";
import { EventsError } from "../../src/events/error.ts";
import type { AuditStream } from "../../src/issuer/ports.ts";

interface Stored {
  readonly sequence: number;
  readonly bytes: Uint8Array;
}

/** An audit record as the stream shows it to anybody: not verified. */
export interface ShownRecord {
  readonly bytes: Uint8Array;
  readonly digest: string;
  readonly payload: AuditRecord;
}

/** The audit stream of one issuer, with the real one's compare-and-set, and what a broker may do to it. */
export class SimulationAudit {
  /** False: it answers nobody. */
  up = true;
  /** False: it takes records, and shows none of the old ones. */
  readable = true;
  /** Hears each record that was acknowledged. */
  onAppended: (record: ShownRecord) => void = () => undefined;
  #stored: Stored[] = [];

  get records(): readonly ShownRecord[] {
    return this.#stored.map(({ bytes }) => shown(bytes));
  }

  /** JetStream's unsynced writes are thrown away: the newest `count` records are gone. */
  lose(count: number): void {
    this.#stored = this.#stored.slice(0, Math.max(0, this.#stored.length - count));
  }

  /** Retention, or a broker's malice: the oldest `count` records are gone. */
  loseOldest(count: number): void {
    this.#stored = this.#stored.slice(count);
  }

  /** The broker writes something of its own. */
  forge(bytes: Uint8Array): void {
    this.#store(bytes);
  }

  /**
   * Everything that is there, whatever the caller asked from.
   * @yields what was stored, unproven
   * @throws EventsError while the stream is away
   */
  async *readAll(): AsyncGenerator<Uint8Array, void, undefined> {
    await this.#answer();
    if (!this.readable) throw new EventsError("BUS_UNREACHABLE", "no history in this test");
    for (const { bytes } of this.#stored) yield bytes;
  }

  /** The stream as one process sees it. */
  open(): AuditStream {
    let known: number | undefined;
    return {
      appendAudit: async (_issuer, bytes) => {
        await this.#answer();
        const last = this.#stored.at(-1)?.sequence ?? 0;
        if (last !== (known ?? last))
          throw new EventsError("BUS_CONFLICT", "the audit chain was continued by somebody else");
        known = this.#store(bytes);
        this.onAppended(shown(bytes));
      },
      lastAudit: async () => {
        await this.#answer();
        known = this.#stored.at(-1)?.sequence ?? 0;
        return this.#stored.at(-1);
      },
    };
  }

  async #answer(): Promise<void> {
    await Promise.resolve();
    if (!this.up) throw new EventsError("BUS_UNREACHABLE", "the audit stream is away in this test");
  }

  #store(bytes: Uint8Array): number {
    const sequence = (this.#stored.at(-1)?.sequence ?? 0) + 1;
    this.#stored.push({ sequence, bytes });
    return sequence;
  }
}

function shown(bytes: Uint8Array): ShownRecord {
  return { bytes, digest: claimOf(bytes).digest, payload: payloadOf<AuditRecord>(bytes) };
}

/** What an envelope says, unproven; 64-bit integers are text. */
export function payloadOf<T>(envelope: Uint8Array): T {
  const { payload } = JSON.parse(Buffer.from(envelope).toString("utf8")) as { payload: string };
  return JSON.parse(Buffer.from(payload, "base64").toString("utf8")) as T;
}
