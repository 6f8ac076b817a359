import type { Fate, Passage } from "../support/memory-bus-faults.ts";
import type { SeededRandom } from "../support/seeded-random.ts";

/** How many past messages of a subject the broker keeps, to serve them again. */
const remembered = 6;

/** Whoever is named so sees the bus as it is: the simulation's own eyes. */
export const observer = "observer";

/** What network and broker do to everything on its way, decided by the seed. Each figure is a probability. */
export class BusWeather {
  drop = 0;
  duplicate = 0;
  tamper = 0;
  stale = 0;
  /** The longest a message takes, milliseconds; each takes its own time, which is what puts them out of order. */
  slowMs = 40;
  readonly #random: SeededRandom;
  readonly #past = new Map<string, Uint8Array[]>();

  constructor(random: SeededRandom) {
    this.#random = random;
  }

  calm(): void {
    this.drop = 0;
    this.duplicate = 0;
    this.tamper = 0;
    this.stale = 0;
    this.slowMs = 40;
  }

  delay(): number {
    return this.#random.below(this.slowMs);
  }

  fate({ to, subject, bytes }: Passage): Fate {
    if (to === observer) return [bytes];
    const past = this.#past.get(subject) ?? [];
    this.#past.set(subject, [bytes, ...past].slice(0, remembered));
    const chance = this.#random.fraction();
    if (chance < this.drop) return [];
    if (chance < this.drop + this.duplicate) return [bytes, bytes.slice()];
    if (chance < this.drop + this.duplicate + this.tamper) return [this.#bent(bytes)];
    if (chance < this.drop + this.duplicate + this.tamper + this.stale)
      return [this.#random.pick(past) ?? bytes];
    return [bytes];
  }

  #bent(bytes: Uint8Array): Uint8Array {
    // Not slice(): a Buffer would share its memory.
    const bent = new Uint8Array(bytes);
    const at = this.#random.below(bent.length);
    bent[at] = (bent[at] ?? 0) ^ (1 << this.#random.below(8));
    return bent;
  }
}
