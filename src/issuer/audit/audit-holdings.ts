import type { AuditRecord, IssuedSvid } from "../../core/envelope/audit-payloads.ts";
import type { SpiffeId } from "../../core/spiffe/spiffe-id.ts";

/** An SVID that the node can hold now, and the record of its issue. */
export interface HeldSvid extends IssuedSvid {
  readonly n: bigint;
  readonly at: number;
  /** Verifiers with the CRL refuse it; the node still has its key. */
  readonly revoked: boolean;
}

/** What a node holds at a moment, by the audit chain alone. */
export interface Holdings {
  /** Not expired, the newest first. */
  readonly svids: readonly HeldSvid[];
  /** The newest records of how the node came in, renewed, and what operators ordered about it, oldest first. */
  readonly history: readonly AuditRecord[];
  /** CSRs of its that were refused. */
  readonly refusedCsrs: number;
  /** Requests in its name that were refused. */
  readonly refusedRequests: number;
}

const mostHistory = 50;

/** Works out who holds what from the records of a chain, taken in their order: memory holds what is alive at `now`. */
export class HoldingsOf {
  readonly #node: SpiffeId;
  readonly #now: number;
  readonly #svids: Omit<HeldSvid, "revoked">[] = [];
  readonly #revoked = new Set<string>();
  readonly #history: AuditRecord[] = [];
  #refusedCsrs = 0;
  #refusedRequests = 0;

  constructor(node: SpiffeId, now: number) {
    this.#node = node;
    this.#now = now;
  }

  take(record: AuditRecord): void {
    const { action, n, at } = record;
    if (action.kind === "svids-issued" && action.node === this.#node) {
      const alive = action.svids.filter(({ notAfter }) => notAfter > this.#now);
      this.#svids.push(...alive.map((svid) => ({ ...svid, n, at })));
    } else if (action.kind === "svids-revoked")
      for (const { serial } of action.svids) this.#revoked.add(serial);
    else if (action.kind === "svids-refused" && action.node === this.#node)
      this.#refusedCsrs += action.refused.length;
    else if (action.kind === "request-refused")
      this.#refusedRequests += action.refused
        .filter(({ node }) => node === this.#node)
        .reduce((sum, { count }) => sum + count, 0);
    else if (this.#isHistory(record)) {
      this.#history.push(record);
      if (this.#history.length > mostHistory) this.#history.shift();
    }
  }

  holdings(): Holdings {
    return {
      svids: this.#svids
        .toReversed()
        .map((svid) => ({ ...svid, revoked: this.#revoked.has(svid.serial) })),
      history: this.#history,
      refusedCsrs: this.#refusedCsrs,
      refusedRequests: this.#refusedRequests,
    };
  }

  #isHistory({ action }: AuditRecord): boolean {
    if (action.kind === "admin") return action.subject === this.#node;
    return "node" in action && action.node === this.#node;
  }
}
