import type { AuditRecord } from "../../core/envelope/audit-payloads.ts";
import type { SpiffeId } from "../../core/spiffe/spiffe-id.ts";

/** The end of the last SVID of each authority on one node, milliseconds since the epoch. */
type Ends = Map<string, number>;

/**
 * Until when what was signed for each node lives: for the nodes that vanish before they acknowledge it. A projection of the audit chain: it hears each
 * record before the signature that follows it, at a start those that the journal holds, and then what is read back of the stream.
 */
export class IssuedEnds {
  readonly #byNode = new Map<SpiffeId, Ends>();

  take({ action }: Pick<AuditRecord, "action">): void {
    if (action.kind !== "svids-issued") return;
    const ends: Ends = this.#byNode.get(action.node) ?? new Map();
    for (const { authority, notAfter } of action.svids)
      ends.set(authority, Math.max(ends.get(authority) ?? 0, notAfter));
    this.#byNode.set(action.node, ends);
  }

  /** 0 when nothing is known. */
  until(node: SpiffeId, authority?: string): number {
    const ends = this.#byNode.get(node);
    if (ends === undefined) return 0;
    return authority === undefined ? Math.max(0, ...ends.values()) : (ends.get(authority) ?? 0);
  }
}
