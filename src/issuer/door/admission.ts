import { type Rate, rateOf, TokenBucket } from "../../kit/token-bucket.ts";

/** How much nodes may ask of an issuer. */
export interface AdmissionLimits {
  /** Of one node, before a signature is looked at. */
  readonly nodeRequests: Rate;
  /** CSRs of one node, told by the size of what it sends. */
  readonly nodeItems: Rate;
  /** Of all subjects together that belong to no node: whoever invents names gets no more by inventing more. */
  readonly unknownRequests: Rate;
  /** A signed "later" to one node; whoever asks on gets silence. */
  readonly nodeBusy: Rate;
  /** A signed "later" to anybody: a flood must not become a flood of signatures. */
  readonly busy: Rate;
  /** Requests that wait, of all nodes. */
  readonly mostWaiting: number;
  /** What may wait, in CSRs. */
  readonly mostWaitingItems: number;
  /** What is worked on at a time, in CSRs: how long the first request of a quiet node waits behind those of a loud one. */
  readonly inFlightItems: number;
  /** Longer in the queue, and whoever asked has given up: nothing is signed for nobody. Milliseconds. */
  readonly waitMs: number;
}

/**
 * Far above what honest nodes do: a node that restarts with 1,000 identities asks for 20 batches at once; and above what an issuer signs for a node that
 * is alone, so that it is the queue that shares it out.
 */
export const defaultAdmission: AdmissionLimits = {
  nodeRequests: rateOf(250),
  nodeItems: rateOf(10_000),
  unknownRequests: rateOf(50),
  nodeBusy: { perSecond: 2, burst: 8 },
  busy: { perSecond: 200, burst: 400 },
  mostWaiting: 10_000,
  mostWaitingItems: 40_000,
  inFlightItems: 400,
  waitMs: 5000,
};

/** What a request is judged by before any of it is read. */
export interface Arrival {
  readonly kind: string;
  /** The token in its subject: a claim, of which only is known whether there is such a node. */
  readonly node: string;
  readonly known: boolean;
  readonly size: number;
}

/** Let in at a cost, in CSRs; told to come later; or given no answer at all. */
export type Verdict =
  | { readonly kind: "enter"; readonly lane: string; readonly cost: number }
  | { readonly kind: "busy"; readonly retryAfterMs: number }
  | { readonly kind: "silence" };

/** The smallest item with a P-256 CSR has some 520 bytes on the wire: an estimate that is rather too high, as a limit should be. */
const bytesPerItem = 500;

/** One signature is proven and one made, and something may be written: as much work as a few CSRs. */
const otherCost = 4;

/** Nodes whose use is remembered; the names are those of enrolled nodes, so nobody can push others out by inventing some. */
const mostNodes = 65_536;

/** The lane of all subjects that belong to no node. */
const unknownLane = "unknown";

interface Account {
  readonly requests: TokenBucket;
  readonly items: TokenBucket;
  readonly busy: TokenBucket;
}

/** Decides who is let in, before anything is parsed or verified (TM-N-06). A value: it takes the time and does nothing. */
export class Admission {
  readonly #limits: AdmissionLimits;
  readonly #accounts = new Map<string, Account>();
  readonly #unknown: TokenBucket;
  readonly #busy: TokenBucket;

  constructor(limits: AdmissionLimits, now: number) {
    this.#limits = limits;
    this.#unknown = new TokenBucket(limits.unknownRequests, now);
    this.#busy = new TokenBucket(limits.busy, now);
  }

  /** One request more. Takes what a lookup costs; what the work costs is taken by {@link Admission.enter}. */
  knock(arrival: Arrival, now: number): Verdict {
    const cost = costOf(arrival);
    if (!arrival.known) {
      if (!this.#unknown.tryTake(1, now)) return { kind: "silence" };
      return { kind: "enter", lane: unknownLane, cost };
    }
    const { requests } = this.#accountOf(arrival.node, now);
    const wait = requests.waitFor(1, now);
    if (wait > 0) return this.later(arrival, wait, now);
    requests.take(1, now);
    return { kind: "enter", lane: arrival.node, cost };
  }

  /** The request is one that has to be worked on. */
  enter(arrival: Arrival, now: number): Verdict {
    const cost = costOf(arrival);
    if (!arrival.known) return { kind: "enter", lane: unknownLane, cost };
    const { items } = this.#accountOf(arrival.node, now);
    const wait = items.waitFor(cost, now);
    if (wait > 0) return this.later(arrival, wait, now);
    items.take(cost, now);
    return { kind: "enter", lane: arrival.node, cost };
  }

  /** A signed "later" where one may still be given; otherwise silence, which the asker's own patience bridges. */
  later(arrival: Pick<Arrival, "node" | "known">, retryAfterMs: number, now: number): Verdict {
    if (!arrival.known) return { kind: "silence" };
    const { busy } = this.#accountOf(arrival.node, now);
    const may = busy.waitFor(1, now) === 0 && this.#busy.waitFor(1, now) === 0;
    if (!may) return { kind: "silence" };
    busy.take(1, now);
    this.#busy.take(1, now);
    return { kind: "busy", retryAfterMs };
  }

  /** How many nodes are remembered. */
  get remembered(): number {
    return this.#accounts.size;
  }

  #accountOf(node: string, now: number): Account {
    const known = this.#accounts.get(node);
    if (known !== undefined) return known;
    if (this.#accounts.size >= mostNodes) {
      const [oldest] = this.#accounts.keys();
      if (oldest !== undefined) this.#accounts.delete(oldest);
    }
    const { nodeRequests, nodeItems, nodeBusy } = this.#limits;
    const account: Account = {
      requests: new TokenBucket(nodeRequests, now),
      items: new TokenBucket(nodeItems, now),
      busy: new TokenBucket(nodeBusy, now),
    };
    this.#accounts.set(node, account);
    return account;
  }
}

function costOf({ kind, size }: Arrival): number {
  return kind === "sign" ? Math.max(1, Math.ceil(size / bytesPerItem)) : otherCost;
}
