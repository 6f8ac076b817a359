/** First in, first out; both ends in constant time on average. */
class Fifo<T> {
  #held: T[] = [];
  #head = 0;

  get size(): number {
    return this.#held.length - this.#head;
  }

  get first(): T | undefined {
    return this.#held[this.#head];
  }

  push(one: T): void {
    this.#held.push(one);
  }

  shift(): T | undefined {
    if (this.size === 0) return undefined;
    const one = this.#held[this.#head];
    this.#head += 1;
    if (this.#head > 64 && this.#head * 2 > this.#held.length) {
      this.#held = this.#held.slice(this.#head);
      this.#head = 0;
    }
    return one;
  }

  /** The newest. */
  pop(): T | undefined {
    return this.size === 0 ? undefined : this.#held.pop();
  }
}

/** Something that waits, and what it will cost. */
export interface Waiting<T> {
  readonly lane: string;
  readonly item: T;
  /** At least 1. */
  readonly cost: number;
}

interface Lane<T> {
  readonly name: string;
  readonly waiting: Fifo<Waiting<T>>;
  cost: number;
  /** What it may still take in this round. */
  credit: number;
}

export interface FairQueueOptions {
  /** How many may wait in all. */
  readonly mostWaiting: number;
  /** What all that wait may cost. */
  readonly mostCost: number;
  /** What a lane may take in a round; a larger one is served once enough rounds have gone by. */
  readonly quantum: number;
}

/**
 * A queue of lanes that are served in turn, each by what it costs and not by how many ask (deficit round robin, Shreedhar and Varghese 1995): however
 * much one lane brings, the others wait for no more than its share. Within a lane the order is kept.
 */
export class FairQueue<T> {
  readonly #options: FairQueueOptions;
  readonly #lanes = new Map<string, Lane<T>>();
  /** Lanes in the order of their turns; each that waits for something is here once. */
  readonly #turns = new Fifo<Lane<T>>();
  #waiting = 0;
  #cost = 0;

  constructor(options: FairQueueOptions) {
    this.#options = options;
  }

  /** How many wait. */
  get size(): number {
    return this.#waiting;
  }

  /** What those that wait cost. */
  get cost(): number {
    return this.#cost;
  }

  /** Queues it, and gives back whom there is no room for: of the lane that holds most, the newest, which may be this one. */
  push(waiting: Waiting<T>): readonly Waiting<T>[] {
    const lane = this.#laneOf(waiting.lane);
    lane.waiting.push(waiting);
    this.#count(lane, waiting.cost, 1);
    const put: Waiting<T>[] = [];
    while (this.#waiting > this.#options.mostWaiting || this.#cost > this.#options.mostCost) {
      const out = this.#putOut(lane);
      if (out === undefined) break;
      put.push(out);
    }
    return put;
  }

  /** Whose turn it is; undefined when nobody waits. */
  next(): Waiting<T> | undefined {
    for (let lane = this.#turns.first; lane !== undefined; lane = this.#turns.first) {
      const { first } = lane.waiting;
      if (first === undefined) {
        this.#turns.shift();
        this.#lanes.delete(lane.name);
      } else if (lane.credit >= first.cost) {
        lane.credit -= first.cost;
        lane.waiting.shift();
        this.#count(lane, -first.cost, -1);
        return first;
      } else {
        lane.credit += this.#options.quantum;
        this.#turns.shift();
        this.#turns.push(lane);
      }
    }
    return undefined;
  }

  #laneOf(name: string): Lane<T> {
    const known = this.#lanes.get(name);
    if (known !== undefined) return known;
    const lane: Lane<T> = { name, waiting: new Fifo(), cost: 0, credit: this.#options.quantum };
    this.#lanes.set(name, lane);
    this.#turns.push(lane);
    return lane;
  }

  #putOut(newcomer: Lane<T>): Waiting<T> | undefined {
    const lane = this.#heaviest(newcomer);
    const out = lane.waiting.pop();
    if (out !== undefined) this.#count(lane, -out.cost, -1);
    return out;
  }

  /** Whoever comes with more than an even share is it, without a look at the others: a flood must not make each arrival a search. */
  #heaviest(newcomer: Lane<T>): Lane<T> {
    if (newcomer.cost * this.#lanes.size > 2 * this.#options.mostCost) return newcomer;
    let heaviest = newcomer;
    for (const lane of this.#lanes.values()) if (lane.cost > heaviest.cost) heaviest = lane;
    return heaviest;
  }

  #count(lane: Lane<T>, cost: number, waiting: 1 | -1): void {
    lane.cost += cost;
    this.#cost += cost;
    this.#waiting += waiting;
  }
}
