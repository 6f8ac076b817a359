import type { AuditRecord } from "../../core/envelope/audit-payloads.ts";
import { type KeyFinder, openEnvelope } from "../../core/envelope/envelope.ts";
import { EnvelopeError } from "../../core/envelope/error.ts";
import type { SpiffeId } from "../../core/spiffe/spiffe-id.ts";
import type { JournalRecord } from "../ports.ts";

/** The end of the last SVID of each authority on one node, milliseconds since the epoch. */
type Ends = Map<string, number>;

/**
 * Until when what was signed for each node lives: for the nodes that vanish before they acknowledge it. In memory, since a node's newest
 * acknowledgement tells of all before it; a start takes over what the journal still holds of the audit, and then what is read back of the stream.
 */
export class IssuedEnds {
  readonly #byNode = new Map<SpiffeId, Ends>();

  /** Called before the signature leaves. */
  note(node: SpiffeId, authority: string, notAfter: number): void {
    const ends: Ends = this.#byNode.get(node) ?? new Map();
    ends.set(authority, Math.max(ends.get(authority) ?? 0, notAfter));
    this.#byNode.set(node, ends);
  }

  /** Takes over what the journal holds of the audit. */
  resume(records: readonly JournalRecord[], keys: KeyFinder): void {
    for (const record of records) if (record.kind === "audit") this.#takeProven(record.bytes, keys);
  }

  /** Takes over a record of the audit chain. */
  take({ action }: Pick<AuditRecord, "action">): void {
    if (action.kind !== "svids-issued") return;
    for (const { authority, notAfter } of action.svids) this.note(action.node, authority, notAfter);
  }

  /** 0 when nothing is known. */
  until(node: SpiffeId, authority?: string): number {
    const ends = this.#byNode.get(node);
    if (ends === undefined) return 0;
    return authority === undefined ? Math.max(...ends.values()) : (ends.get(authority) ?? 0);
  }

  #takeProven(bytes: Uint8Array, keys: KeyFinder): void {
    try {
      this.take(openEnvelope(bytes, ["audit-record"], keys).payload);
    } catch (refused) {
      // The audit chain itself says what is wrong with its records.
      if (!(refused instanceof EnvelopeError)) throw refused;
    }
  }
}
