/** Long names that many records share, each kept once and known by a small number. Number 0 is the empty name. */
export class LedgerNames {
  readonly #numbers = new Map<string, number>([["", 0]]);
  readonly #names: (string | undefined)[] = [""];
  readonly #free: number[] = [];

  get size(): number {
    return this.#numbers.size;
  }

  /** The number of a name, given to it when it has none. */
  numberOf(name: string): number {
    const known = this.#numbers.get(name);
    if (known !== undefined) return known;
    const number = this.#free.pop() ?? this.#names.length;
    this.#names[number] = name;
    this.#numbers.set(name, number);
    return number;
  }

  /** undefined for a name that nothing is kept of. */
  find(name: string): number | undefined {
    return this.#numbers.get(name);
  }

  nameOf(number: number): string {
    return this.#names[number] ?? "";
  }

  /** Above every number that was given out. */
  get end(): number {
    return this.#names.length;
  }

  /** Lets go of every name at whose number `used` has 0; those numbers are given out again. */
  keepOnly(used: Uint8Array): void {
    for (const [name, number] of this.#numbers) {
      if (number === 0 || used[number] !== 0) continue;
      this.#numbers.delete(name);
      this.#names[number] = undefined;
      this.#free.push(number);
    }
  }
}
