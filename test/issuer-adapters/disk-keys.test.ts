import {
  chmodSync,
  copyFileSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { DiskKeys } from "../../src/issuer/adapters/disk-keys.ts";
import { KeyFolder } from "../../src/issuer/adapters/key-folder.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "herald-keys-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const open = (key = 7): DiskKeys =>
  new DiskKeys(new KeyFolder(folder, Buffer.alloc(32, key)), "ec-p256");
const file = (authority: string): string => join(folder, `authority-${authority}.key`);

describe("TM-I-02 authorities' keys on disk", () => {
  test("lie in one sealed file each, for their owner alone; deleted, nothing is left", async () => {
    await open().create("a");
    expect(readdirSync(folder)).toEqual(["authority-a.key"]);
    expect(statSync(file("a")).mode & 0o777).toBe(0o600);
    await open().delete("a");
    expect(readdirSync(folder)).toEqual([]);
  });

  test("do not open under another sealing key", async () => {
    await open(1).create("a");
    await expect(open(2).open("a")).rejects.toMatchObject({ code: "SEALED_FILE" });
  });

  test("do not open in another's place: an old authority's key cannot be put under the active one's name", async () => {
    await open().create("a");
    await open().create("b");
    copyFileSync(file("a"), file("b"));
    await expect(open().open("b")).rejects.toMatchObject({ code: "SEALED_FILE" });
  });

  test.for([0, 5, 27, 28, 100])("do not open when cut off after %i bytes", async (length) => {
    await open().create("a");
    truncateSync(file("a"), length);
    await expect(open().open("a")).rejects.toMatchObject({ code: "SEALED_FILE" });
  });

  test.for([0o640, 0o604, 0o620, 0o666])("do not open with mode %o", async (mode) => {
    await open().create("a");
    chmodSync(file("a"), mode);
    await expect(open().open("a")).rejects.toMatchObject({ code: "SEALED_FILE_MODE" });
  });
});
