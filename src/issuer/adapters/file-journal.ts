import { createHash, hash } from "node:crypto";
import { type FileHandle, mkdir, open } from "node:fs/promises";
import { dirname } from "node:path";
import { readIfThere, syncFolder, writeDurably } from "../../kit/adapters/durable-file.ts";
import { reasonOf } from "../../kit/errors.ts";
import { IssuerError } from "../error.ts";
import type { Journal, JournalRecord } from "../ports.ts";

/** The journal is written anew at start when it holds this many times the records that still count. */
const garbageFactor = 4;

/** The stream keeps the audit; the journal only as much of it as a broker that lost its newest writes could have lost. */
const keptAudits = 1000;

/** A small file is not worth the work. */
const leastToCompact = 16 * 1024 * 1024;

/** Hex digits of a line's checksum. */
const sumLength = 16;
const lineFeed = Buffer.from("\n", "latin1");

const kinds: ReadonlySet<string> = new Set([
  "object",
  "audit",
  "ack",
] satisfies JournalRecord["kind"][]);

/**
 * The issuer's journal in one file of lines `<sha256 of the rest, 16 hex> <kind> <key> <envelope>`; envelopes are compact JSON and hold no line feed.
 * Appends that come together share one fsync. A torn last line, which a crash leaves, is dropped: its append never resolved. A broken line
 * anywhere else is damage, and the issuer refuses to start on it.
 */
export class FileJournal implements Journal {
  readonly #path: string;
  #file: FileHandle | undefined;
  #waiting: {
    readonly lines: readonly Uint8Array[];
    readonly done: () => void;
    readonly failed: (reason: unknown) => void;
  }[] = [];
  #writing = false;
  #broken: IssuerError | undefined;
  readonly #onBroken: (reason: IssuerError) => void;
  /** The newest of each, as it would be written anew. */
  #newest = new Map<string, JournalRecord>();
  #liveBytes = 0;
  #bytes = 0;

  /** `onBroken` hears once that the disk takes no more: only a restart mends that. */
  constructor(path: string, onBroken: (reason: IssuerError) => void = () => undefined) {
    this.#path = path;
    this.#onBroken = onBroken;
  }

  async load(): Promise<readonly JournalRecord[]> {
    await mkdir(dirname(this.#path), { recursive: true, mode: 0o700 });
    const text = await readOrEmpty(this.#path);
    const { newest, lines } = this.#parse(text);
    const records = withoutOldAudits([...newest.values()]);
    // Also drops a torn line, so that the next append starts on a line of its own.
    if (lines > garbageFactor * records.length || !(text === "" || text.endsWith("\n")))
      await writeDurably(this.#path, Buffer.concat(records.flatMap(lineOf)));
    this.#newest = new Map(records.map((record) => [nameOf(record), record]));
    await this.#reopen();
    return records;
  }

  append(records: readonly JournalRecord[]): Promise<void> {
    if (records.length === 0) return Promise.resolve();
    for (const record of records) this.#newest.set(nameOf(record), record);
    return new Promise((done, failed) => {
      this.#waiting.push({ lines: records.flatMap(lineOf), done, failed });
      if (!this.#writing) void this.#drain();
    });
  }

  async close(): Promise<void> {
    await this.#file?.close();
  }

  async #drain(): Promise<void> {
    this.#writing = true;
    while (this.#waiting.length > 0) {
      const batch = this.#waiting;
      this.#waiting = [];
      try {
        if (this.#broken !== undefined) throw this.#broken;
        if (this.#file === undefined)
          throw new IssuerError(
            "STATE_CORRUPT",
            "the journal was not loaded before it was written",
          );
        const lines = Buffer.concat(batch.flatMap((append) => append.lines));
        await this.#file.appendFile(lines);
        await this.#file.datasync();
        this.#bytes += lines.length;
        for (const append of batch) append.done();
        await this.#compact();
      } catch (thrown) {
        // What is on disk now is unknown, and another line behind half a line would be damage: from here on nothing is written. A restart
        // reads the file as it is; nobody was told that these records were kept.
        this.#broken ??= new IssuerError(
          "JOURNAL_BROKEN",
          `cannot write the journal ${this.#path} (${reasonOf(thrown)}); free the disk, then restart the issuer`,
          { cause: thrown },
        );
        for (const append of batch) append.failed(this.#broken);
        this.#onBroken(this.#broken);
      }
    }
    this.#writing = false;
  }

  /** Written anew, without what newer records replaced, once that is most of the file. A crash leaves the old file or the new one. */
  async #compact(): Promise<void> {
    if (this.#bytes < leastToCompact || this.#bytes < garbageFactor * this.#liveBytes) return;
    const records = withoutOldAudits([...this.#newest.values()]);
    this.#newest = new Map(records.map((record) => [nameOf(record), record]));
    await writeDurably(this.#path, Buffer.concat(records.flatMap(lineOf)));
    await this.#file?.close();
    await this.#reopen();
  }

  async #reopen(): Promise<void> {
    this.#file = await open(this.#path, "a", 0o600);
    await syncFolder(dirname(this.#path));
    this.#bytes = (await this.#file.stat()).size;
    this.#liveBytes = this.#bytes;
  }

  #parse(text: string): { readonly newest: Map<string, JournalRecord>; readonly lines: number } {
    const newest = new Map<string, JournalRecord>();
    const lines = text.split("\n");
    const torn = lines.pop() ?? "";
    for (const [index, line] of lines.entries()) {
      const record = recordOf(line);
      if (record === undefined) {
        throw new IssuerError(
          "STATE_CORRUPT",
          `${this.#path}, line ${index + 1}: damaged (its checksum does not fit). Restore the state folder from a backup; the store on the bus holds a copy of all objects`,
        );
      }
      newest.set(nameOf(record), record);
    }
    return { newest, lines: lines.length + (torn === "" ? 0 : 1) };
  }
}

function nameOf(record: JournalRecord): string {
  return `${record.kind} ${record.key}`;
}

/** Records come in the order of the file, which is the order of the chain. */
function withoutOldAudits(records: readonly JournalRecord[]): readonly JournalRecord[] {
  const audits = records.filter((record) => record.kind === "audit");
  const dropped = new Set(audits.slice(0, Math.max(0, audits.length - keptAudits)));
  return records.filter((record) => !dropped.has(record));
}

/** In parts, to be copied once. */
function lineOf({ kind, key, bytes }: JournalRecord): readonly Uint8Array[] {
  const name = `${kind} ${key} `;
  const sum = createHash("sha256").update(name, "utf8").update(bytes).digest("hex");
  return [Buffer.from(`${sum.slice(0, sumLength)} ${name}`, "utf8"), bytes, lineFeed];
}

function recordOf(line: string): JournalRecord | undefined {
  const rest = line.slice(17);
  const [kind = "", key = ""] = rest.split(" ", 2);
  if (line.charAt(16) !== " " || checksum(rest) !== line.slice(0, 16) || !isKind(kind))
    return undefined;
  return { kind, key, bytes: Buffer.from(rest.slice(kind.length + key.length + 2), "utf8") };
}

function isKind(text: string): text is JournalRecord["kind"] {
  return kinds.has(text);
}

function checksum(text: string): string {
  return hash("sha256", text, "hex").slice(0, sumLength);
}

async function readOrEmpty(path: string): Promise<string> {
  try {
    return (await readIfThere(path))?.toString("utf8") ?? "";
  } catch (cause) {
    throw new IssuerError("STATE_CORRUPT", `cannot read the journal ${path}: ${reasonOf(cause)}`, {
      cause,
    });
  }
}
