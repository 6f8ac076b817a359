import { IssuerError } from "../../src/issuer/error.ts";
import type { Journal, JournalRecord } from "../../src/issuer/ports.ts";

/** A crash in the midst of a write: the process is gone at append number `append` (from 1), of whose records `kept` are on the disk. */
export interface JournalCrash {
  readonly append: number;
  readonly kept: number;
}

/** A journal in memory. The disk outlives the process: {@link MemoryJournal.reopen} is what the next one finds. */
export class MemoryJournal implements Journal {
  readonly #disk: JournalRecord[];
  #crash: { readonly at: JournalCrash; readonly onCrash: () => void } | undefined;
  #appends = 0;
  #broken = false;

  constructor(disk: readonly JournalRecord[] = []) {
    this.#disk = [...disk];
  }

  /** Everything that was ever written, oldest first. */
  get disk(): readonly JournalRecord[] {
    return this.#disk;
  }

  /** How many appends this process has begun. */
  get appends(): number {
    return this.#appends;
  }

  /** The disk as the next process finds it. */
  reopen(): MemoryJournal {
    return new MemoryJournal(this.#disk);
  }

  /** From now on, counted from here: what becomes of an append to come. */
  crashAt(crash: JournalCrash, onCrash: () => void = () => undefined): void {
    this.#crash = { at: { ...crash, append: this.#appends + crash.append }, onCrash };
  }

  async append(records: readonly JournalRecord[]): Promise<void> {
    await Promise.resolve();
    if (records.length === 0) return;
    this.#appends += 1;
    if (this.#broken) throw new IssuerError("JOURNAL_BROKEN", "the disk is gone");
    if (this.#appends !== this.#crash?.at.append) {
      this.#disk.push(...records);
      return;
    }
    this.#broken = true;
    this.#disk.push(...records.slice(0, this.#crash.at.kept));
    this.#crash.onCrash();
    throw new IssuerError("JOURNAL_BROKEN", "the disk broke in this test");
  }

  async load(): Promise<readonly JournalRecord[]> {
    await Promise.resolve();
    const newest = new Map<string, JournalRecord>();
    for (const record of this.#disk) newest.set(`${record.kind} ${record.key}`, record);
    return [...newest.values()];
  }
}
