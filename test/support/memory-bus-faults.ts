/** Something on its way. */
export interface Passage {
  /** A node's token, or the name of an issuer. */
  readonly to: string;
  /** The subject; "reply" for answers; "read <key>" for what a reader is shown. */
  readonly subject: string;
  readonly bytes: Uint8Array;
}

/** What becomes of a passage: nothing, one or several deliveries, each with its bytes; or it is kept until `release`. */
export type Fate = readonly Uint8Array[] | "withhold";

/** A broker's malice and a network's weather; everything is undone by `calm`. */
export interface MemoryFaults {
  /** Decides about everything on its way; the newest rule that does not return undefined counts. Returns how to take the rule back. */
  rule(rule: (passage: Passage) => Fate | undefined): () => void;
  /** Loses what matches. */
  drop(matching: (passage: Passage) => boolean): () => void;
  /** Delivers what matches twice. */
  duplicate(matching: (passage: Passage) => boolean): () => void;
  /** Keeps what matches until `release`. */
  withhold(matching: (passage: Passage) => boolean): () => void;
  /** Delivers what was withheld, in the order that `order` gives (default: as it came; pass a reversal or a shuffle to reorder). */
  release(order?: (count: number) => readonly number[]): void;
  /** Changes the bytes of what matches. */
  tamper(
    matching: (passage: Passage) => boolean,
    change: (bytes: Uint8Array) => Uint8Array,
  ): () => void;
  /** Serves the value that `key` had `steps` values ago, under a new revision. */
  rollback(key: string, steps: number): void;
  /** Stores bytes of the broker's own under `key`. */
  forge(key: string, bytes: Uint8Array): void;
  /** Loses all objects and starts the revisions anew. */
  destroy(): void;
  /** Cuts a member off without telling it: nothing arrives, everything it does fails. */
  partition(member: string): void;
  /** Ends a partition, without telling. */
  heal(member: string): void;
  /** Cuts a member off, and it notices (`onDisconnected`). */
  disconnect(member: string): void;
  /** Ends `disconnect`; fires `onConnected`. */
  reconnect(member: string): void;
  /** The next `count` writes of `member` are stored, but their acknowledgements are lost. */
  loseAcks(member: string, count: number): void;
  /** No rules, no partitions; what is withheld stays so. */
  calm(): void;
}

interface Broker {
  readonly onLink: (member: string, connected: boolean) => void;
  readonly rollback: (key: string, steps: number) => void;
  readonly forge: (key: string, bytes: Uint8Array) => void;
  readonly destroy: () => void;
}

/** The faults of a memory bus, and their effect. */
export class Weather implements MemoryFaults {
  readonly #schedule: (run: () => void) => void;
  readonly #broker: Broker;
  readonly #rules: ((passage: Passage) => Fate | undefined)[] = [];
  readonly #cut = new Set<string>();
  readonly #acksLost = new Map<string, number>();
  #withheld: (() => void)[] = [];

  constructor(schedule: (run: () => void) => void, broker: Broker) {
    this.#schedule = schedule;
    this.#broker = broker;
  }

  rule(rule: (passage: Passage) => Fate | undefined): () => void {
    this.#rules.unshift(rule);
    return () => {
      const at = this.#rules.indexOf(rule);
      if (at !== -1) this.#rules.splice(at, 1);
    };
  }

  drop(matching: (passage: Passage) => boolean): () => void {
    return this.rule((passage) => (matching(passage) ? [] : undefined));
  }

  duplicate(matching: (passage: Passage) => boolean): () => void {
    return this.rule((passage) =>
      matching(passage) ? [passage.bytes, passage.bytes.slice()] : undefined,
    );
  }

  withhold(matching: (passage: Passage) => boolean): () => void {
    return this.rule((passage) => (matching(passage) ? "withhold" : undefined));
  }

  release(order?: (count: number) => readonly number[]): void {
    const withheld = this.#withheld;
    this.#withheld = [];
    const indexes = order?.(withheld.length) ?? withheld.keys();
    for (const index of indexes) {
      const run = withheld[index];
      if (run !== undefined) this.#schedule(run);
    }
  }

  tamper(
    matching: (passage: Passage) => boolean,
    change: (bytes: Uint8Array) => Uint8Array,
  ): () => void {
    return this.rule((passage) => (matching(passage) ? [change(passage.bytes)] : undefined));
  }

  rollback(key: string, steps: number): void {
    this.#broker.rollback(key, steps);
  }

  forge(key: string, bytes: Uint8Array): void {
    this.#broker.forge(key, bytes);
  }

  destroy(): void {
    this.#broker.destroy();
  }

  partition(member: string): void {
    this.#cut.add(member);
  }

  heal(member: string): void {
    this.#cut.delete(member);
  }

  disconnect(member: string): void {
    if (this.#cut.has(member)) return;
    this.#cut.add(member);
    this.#broker.onLink(member, false);
  }

  reconnect(member: string): void {
    if (!this.#cut.delete(member)) return;
    this.#broker.onLink(member, true);
  }

  loseAcks(member: string, count: number): void {
    this.#acksLost.set(member, count);
  }

  calm(): void {
    this.#rules.length = 0;
    this.#acksLost.clear();
    for (const member of this.#cut) this.reconnect(member);
  }

  // For the bus itself.

  linked(member: string): boolean {
    return !this.#cut.has(member);
  }

  losesAck(member: string): boolean {
    const left = this.#acksLost.get(member) ?? 0;
    this.#acksLost.set(member, Math.max(0, left - 1));
    return left > 0;
  }

  /** Brings a passage to its end by the rules and the schedule; `lost` runs when nothing will come. */
  deliver(passage: Passage, arrive: (bytes: Uint8Array) => void, lost?: () => void): void {
    const fate = this.#fateOf(passage);
    if (fate === "withhold") {
      this.#withheld.push(() => arrive(passage.bytes));
      return;
    }
    for (const bytes of fate) this.#schedule(() => arrive(bytes));
    if (fate.length === 0 && lost !== undefined) this.#schedule(lost);
  }

  /** What a reader is shown: withholding is showing nothing. */
  altered(passage: Passage): readonly Uint8Array[] {
    const fate = this.#fateOf(passage);
    return fate === "withhold" ? [] : fate;
  }

  #fateOf(passage: Passage): Fate {
    for (const rule of this.#rules) {
      const fate = rule(passage);
      if (fate !== undefined) return fate;
    }
    return [passage.bytes];
  }
}
