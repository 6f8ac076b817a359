import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { appendFile, mkdtemp, open, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { FileJournal } from "../../src/issuer/adapters/file-journal.ts";
import { IssuerError } from "../../src/issuer/error.ts";
import type { JournalRecord } from "../../src/issuer/ports.ts";

let dir = "";
let path = "";
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "herald-journal-"));
  path = join(dir, "journal");
});
afterEach(async () => {
  vi.restoreAllMocks();
  await rm(dir, { recursive: true });
});

const record = (
  key: string,
  text: string,
  kind: JournalRecord["kind"] = "object",
): JournalRecord => ({
  kind,
  key,
  bytes: Buffer.from(JSON.stringify({ text })),
});

const plain = (records: readonly JournalRecord[]): readonly string[] =>
  records
    .map(({ kind, key, bytes }) => `${kind} ${key} ${Buffer.from(bytes).toString("utf8")}`)
    .toSorted();

async function opened(): Promise<FileJournal> {
  const journal = new FileJournal(path);
  await journal.load();
  return journal;
}

async function reload(): Promise<readonly string[]> {
  const journal = new FileJournal(path);
  const records = await journal.load();
  await journal.close();
  return plain(records);
}

const codeOf = async (run: Promise<unknown>): Promise<string> =>
  await run.then(
    () => "ok",
    (thrown: unknown) => (thrown instanceof IssuerError ? thrown.code : String(thrown)),
  );

describe("what was appended is there after a restart", () => {
  test("the newest of each kind and key", async () => {
    const journal = await opened();
    await journal.append([record("entry.a", "one"), record("entry.b", "two")]);
    await journal.append([record("entry.a", "three"), record("entry.a", "an ack", "ack")]);
    await journal.append([record("audit.1", "naïve ☃ \u2028 text", "audit")]);
    await journal.append([]);
    await journal.close();
    expect(await reload()).toEqual(
      plain([
        record("entry.a", "three"),
        record("entry.b", "two"),
        record("entry.a", "an ack", "ack"),
        record("audit.1", "naïve ☃ \u2028 text", "audit"),
      ]),
    );
  });

  test("also when it was rewritten because most of it was outdated", async () => {
    const journal = await opened();
    for (let n = 0; n < 50; n += 1) await journal.append([record("entry.a", `v${n}`)]);
    await journal.append([record("entry.b", "kept")]);
    await journal.close();
    const before = (await readFile(path)).length;
    expect(await reload()).toEqual(plain([record("entry.a", "v49"), record("entry.b", "kept")]));
    expect((await readFile(path)).length).toBeLessThan(before / 10);
    expect(await reload()).toHaveLength(2);
  });

  test("nobody else may read it", async () => {
    const journal = await opened();
    await journal.append([record("entry.a", "one")]);
    await journal.close();
    const file = await open(path, "r");
    expect((await file.stat()).mode & 0o777).toBe(0o600);
    await file.close();
  });
});

describe("a crash", () => {
  test("at any byte leaves every append that was told done, and of the last one a prefix", async () => {
    const journal = await opened();
    await journal.append([record("entry.a", "one"), record("entry.b", "two")]);
    const safe = readFileSync(path).length;
    await journal.append([record("entry.c", "three"), record("entry.a", "four")]);
    await journal.close();
    const whole = readFileSync(path);
    for (let cut = safe; cut <= whole.length; cut += 7) {
      await writeFile(path, whole.subarray(0, cut));
      const keys = (await reload()).map((one) => one.split(" ")[1]);
      expect(keys.slice(0, 2)).toEqual(["entry.a", "entry.b"]);
      // What is appended next stands on a line of its own.
      const next = await opened();
      await next.append([record("entry.d", "five")]);
      await next.close();
      expect((await reload()).at(-1)).toBe(plain([record("entry.d", "five")])[0]);
    }
  });

  test("a torn last line is dropped", async () => {
    const journal = await opened();
    await journal.append([record("entry.a", "one")]);
    await journal.close();
    await appendFile(path, "0123456789abcdef object entry.b {");
    expect(await reload()).toEqual(plain([record("entry.a", "one")]));
    expect(readFileSync(path, "utf8").endsWith("\n")).toBe(true);
  });
});

describe("damage", () => {
  test("anywhere but at the end is refused, with its line", async () => {
    const journal = await opened();
    for (const key of ["entry.a", "entry.b", "entry.c"])
      await journal.append([record(key, "text")]);
    await journal.close();
    const lines = readFileSync(path, "utf8").split("\n");
    for (const [at, line] of lines.slice(0, 3).entries()) {
      for (const bent of [
        line.replace("text", "tex7"),
        line.slice(1),
        "",
        line.replace("object", "audit"),
      ]) {
        await writeFile(path, lines.with(at, bent).join("\n"));
        const refused = new FileJournal(path).load();
        await expect(refused).rejects.toMatchObject({
          code: "STATE_CORRUPT",
          message: expect.stringContaining(`line ${at + 1}:`) as string,
        });
      }
    }
  });

  test("of any one byte before the last line is found", async () => {
    const journal = await opened();
    await journal.append([record("entry.a", "one"), record("entry.b", "two")]);
    await journal.close();
    const good = readFileSync(path);
    const first = good.indexOf("\n");
    const at = fc.integer({ min: 0, max: first - 1 });
    await fc.assert(
      fc.asyncProperty(at, fc.integer({ min: 1, max: 127 }), async (where, flip) => {
        await writeFile(path, good.with(where, (good[where] ?? 0) ^ flip));
        expect(await codeOf(new FileJournal(path).load())).toBe("STATE_CORRUPT");
      }),
      { numRuns: 50 },
    );
  });

  test("a kind that is none is damage, however right its checksum", async () => {
    const rest = "secret entry.a {}";
    const sum = createHash("sha256").update(rest).digest("hex").slice(0, 16);
    await writeFile(path, `${sum} ${rest}\n`);
    expect(await codeOf(new FileJournal(path).load())).toBe("STATE_CORRUPT");
  });
});

describe("group commit", () => {
  /** Counts the syncs of every file, without changing what they do. */
  async function countedSyncs() {
    const probe = await open(join(dir, "probe"), "w");
    const prototype = Object.getPrototypeOf(probe) as typeof probe;
    await probe.close();
    return vi.spyOn(prototype, "datasync");
  }

  test("appends that come together share a sync, and all are there", async () => {
    const journal = await opened();
    const syncs = await countedSyncs();
    const records = Array.from({ length: 200 }, (_, n) => record(`entry.e${n}`, `v${n}`));
    await Promise.all(records.map((one) => journal.append([one])));
    expect(syncs.mock.calls.length).toBeLessThanOrEqual(5);
    await journal.close();
    expect(await reload()).toEqual(plain(records));
  });

  test("appends one after the other are synced one by one", async () => {
    const journal = await opened();
    const syncs = await countedSyncs();
    for (let n = 0; n < 5; n += 1) await journal.append([record("entry.a", `v${n}`)]);
    expect(syncs).toHaveBeenCalledTimes(5);
    await journal.close();
  });

  test("appends of one key keep their order", async () => {
    const journal = await opened();
    await Promise.all(
      Array.from({ length: 50 }, (_, n) => journal.append([record("entry.a", `v${n}`)])),
    );
    await journal.close();
    expect(await reload()).toEqual(plain([record("entry.a", "v49")]));
  });
});

describe("a write that fails", () => {
  test("poisons the journal: what is on disk is unknown, so nothing more is written", async () => {
    const journal = await opened();
    await journal.append([record("entry.a", "one")]);
    await journal.close();
    const size = readFileSync(path).length;
    const together = ["entry.b", "entry.c"].map((key) =>
      codeOf(journal.append([record(key, "lost")])),
    );
    expect(await Promise.all(together)).toEqual(["JOURNAL_BROKEN", "JOURNAL_BROKEN"]);
    expect(await codeOf(journal.append([record("entry.d", "late")]))).toBe("JOURNAL_BROKEN");
    expect(readFileSync(path)).toHaveLength(size);
    expect(await reload()).toEqual(plain([record("entry.a", "one")]));
  });

  test("a sync that fails is a write that failed, though its bytes may be there", async () => {
    const journal = await opened();
    const probe = await open(join(dir, "probe"), "w");
    const prototype = Object.getPrototypeOf(probe) as typeof probe;
    await probe.close();
    const sync = vi.spyOn(prototype, "datasync").mockRejectedValueOnce(new RangeError("EIO"));
    expect(await codeOf(journal.append([record("entry.a", "one")]))).toBe("JOURNAL_BROKEN");
    expect(await codeOf(journal.append([record("entry.a", "two")]))).toBe("JOURNAL_BROKEN");
    expect(sync).toHaveBeenCalledTimes(1);
    await journal.close();
  });

  test("so is writing before it was loaded", async () => {
    expect(await codeOf(new FileJournal(path).append([record("entry.a", "one")]))).toBe(
      "JOURNAL_BROKEN",
    );
  });
});
