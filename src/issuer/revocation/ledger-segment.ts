/** How many SVIDs one segment holds: small enough to be moved within a tick, large enough that a million are few of them. */
export const segmentCapacity = 32_768;

/** Twice the capacity, so that a search ends after a step or two. */
const slots = 2 * segmentCapacity;

/** RFC 5280 4.1.2.2: no serial is longer. */
const serialBytes = 20;

/** One SVID in numbers; names are those of LedgerNames, times are seconds since the epoch. */
export interface LedgerRow {
  /** Lower-case hex. */
  readonly serial: string;
  readonly node: number;
  readonly entry: number;
  readonly id: number;
  readonly authority: number;
  readonly issuedAt: number;
  readonly notAfter: number;
  readonly kind: number;
}

/** What a row must be about; undefined for whatever. */
export type LedgerQuery = Partial<Pick<LedgerRow, "node" | "entry" | "id" | "authority">>;

/** Some thousands of SVIDs in columns: 53 bytes each, and a search over all of them costs less than a millisecond. */
export class LedgerSegment {
  readonly #serials = Buffer.alloc(segmentCapacity * serialBytes);
  readonly #nodes = new Uint32Array(segmentCapacity);
  readonly #entries = new Uint32Array(segmentCapacity);
  readonly #ids = new Uint32Array(segmentCapacity);
  readonly #authorities = new Uint32Array(segmentCapacity);
  readonly #issuedAt = new Uint32Array(segmentCapacity);
  readonly #notAfter = new Uint32Array(segmentCapacity);
  readonly #kinds = new Uint8Array(segmentCapacity);
  /** Position + 1 by the serial's last four bytes, which are chance; 0 where there is none. */
  readonly #index = new Uint32Array(slots);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get isFull(): boolean {
    return this.#size === segmentCapacity;
  }

  add(row: LedgerRow): void {
    const at = this.#size;
    const from = at * serialBytes;
    this.#serials.write(row.serial, from + serialBytes - row.serial.length / 2, "hex");
    this.#nodes[at] = row.node;
    this.#entries[at] = row.entry;
    this.#ids[at] = row.id;
    this.#authorities[at] = row.authority;
    this.#issuedAt[at] = row.issuedAt;
    this.#notAfter[at] = row.notAfter;
    this.#kinds[at] = row.kind;
    let slot = this.#serials.readUInt32BE(from + serialBytes - 4) % slots;
    while (this.#index[slot] !== 0) slot = (slot + 1) % slots;
    this.#index[slot] = at + 1;
    this.#size = at + 1;
  }

  /** The position of a serial, as {@link padded}; -1 when it is not here. */
  find(serial: Buffer): number {
    let slot = serial.readUInt32BE(serialBytes - 4) % slots;
    for (let found = this.#index[slot] ?? 0; found !== 0; found = this.#index[slot] ?? 0) {
      const from = (found - 1) * serialBytes;
      if (serial.compare(this.#serials, from, from + serialBytes) === 0) return found - 1;
      slot = (slot + 1) % slots;
    }
    return -1;
  }

  row(at: number): LedgerRow {
    const from = at * serialBytes;
    return {
      serial: unpadded(this.#serials.toString("hex", from, from + serialBytes)),
      node: this.#nodes[at] ?? 0,
      entry: this.#entries[at] ?? 0,
      id: this.#ids[at] ?? 0,
      authority: this.#authorities[at] ?? 0,
      issuedAt: this.#issuedAt[at] ?? 0,
      notAfter: this.#notAfter[at] ?? 0,
      kind: this.#kinds[at] ?? 0,
    };
  }

  /** Visits the positions of what is alive at `now` (seconds) and fits, newest first. */
  visit(query: LedgerQuery, now: number, found: (at: number) => void): void {
    const columns: readonly (readonly [Uint32Array, number | undefined])[] = [
      [this.#nodes, query.node],
      [this.#entries, query.entry],
      [this.#ids, query.id],
      [this.#authorities, query.authority],
    ];
    const wanted = columns.filter(([, number]) => number !== undefined);
    // The loop over a million rows looks at one column; few rows are left for the others.
    const [column, number] = wanted[0] ?? [undefined, undefined];
    const notAfter = this.#notAfter;
    for (let at = this.#size - 1; at >= 0; at -= 1) {
      if (column !== undefined && column[at] !== number) continue;
      if ((notAfter[at] ?? 0) < now) continue;
      if (wanted.length < 2 || wanted.every(([other, one]) => other[at] === one)) found(at);
    }
  }

  /** Does it come after a row that was issued then and has this serial, {@link padded}? Newest first, then by serial. */
  comesAfter(at: number, issuedAt: number, serial: Buffer): boolean {
    const own = this.#issuedAt[at] ?? 0;
    if (own !== issuedAt) return own < issuedAt;
    const from = at * serialBytes;
    return serial.compare(this.#serials, from, from + serialBytes) < 0;
  }

  /** How many are alive at `now` (seconds). */
  alive(now: number): number {
    let count = 0;
    for (let at = 0; at < this.#size; at += 1) if ((this.#notAfter[at] ?? 0) >= now) count += 1;
    return count;
  }

  /** Sets `used` to 1 at the number of each name that a row here uses. */
  markNames(used: Uint8Array): void {
    for (const column of [this.#nodes, this.#entries, this.#ids, this.#authorities])
      for (let at = 0; at < this.#size; at += 1) used[column[at] ?? 0] = 1;
  }
}

/** A serial as segments keep it: right-aligned in 20 bytes. */
export function padded(serial: string): Buffer {
  return Buffer.from(serial.padStart(2 * serialBytes, "0"), "hex");
}

/** Two digits a byte, the first of which is not 0. */
function unpadded(hex: string): string {
  const zeros = /^(?:00)*/.exec(hex)?.[0].length ?? 0;
  return hex.slice(zeros);
}
