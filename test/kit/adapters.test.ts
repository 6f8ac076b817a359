import { readdirSync, readFileSync, statSync } from "node:fs";
import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { readIfThere, writeDurably } from "../../src/kit/adapters/durable-file.ts";
import { SealedFileError, seal, sealingKey, unseal } from "../../src/kit/adapters/sealed-file.ts";

let dir = "";
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "herald-kit-"));
});
afterEach(async () => {
  await rm(dir, { recursive: true });
});

describe("durable files", () => {
  test("hold what was written last, in folders that are made for them", async () => {
    const path = join(dir, "a", "b", "file");
    await writeDurably(path, Buffer.from("old and long"));
    await writeDurably(path, Buffer.from("new"));
    expect(await readIfThere(path)).toEqual(Buffer.from("new"));
    expect(readdirSync(join(dir, "a", "b"))).toEqual(["file"]);
    expect(statSync(join(dir, "a")).mode & 0o777).toBe(0o700);
  });

  test.for([
    [0o600, 0o600],
    [0o644, 0o644],
  ] as const)("mode %o is %o, whatever a crash left beside", async ([mode, expected]) => {
    const path = join(dir, "file");
    await writeFile(`${path}.new`, "left");
    await chmod(`${path}.new`, 0o666);
    await writeDurably(path, Buffer.from("x"), mode);
    expect(statSync(path).mode & 0o777).toBe(expected);
  });

  test("one that cannot be written leaves the old one as it was", async () => {
    const path = join(dir, "file");
    await writeDurably(path, Buffer.from("old"));
    await mkdir(`${path}.new`);
    await expect(writeDurably(path, Buffer.from("new"))).rejects.toThrow();
    expect(readFileSync(path, "utf8")).toBe("old");
  });

  test("one that is not there is undefined, one that cannot be read is an error", async () => {
    expect(await readIfThere(join(dir, "none"))).toBeUndefined();
    await expect(readIfThere(dir)).rejects.toThrow();
  });
});

describe("TM-N-08 sealed files", () => {
  const key = Buffer.alloc(32, 1);
  const bytes = fc.uint8Array({ maxLength: 200 });
  const name = fc.string({ unit: "binary", maxLength: 20 });
  const outcome = (run: () => unknown): string => {
    try {
      run();
      return "ok";
    } catch (thrown) {
      return thrown instanceof SealedFileError ? thrown.code : String(thrown);
    }
  };

  test("open under their key and name, and never look the same twice", () => {
    fc.assert(
      fc.property(bytes, name, (made, called) => {
        const sealed = seal(made, key, called);
        expect(unseal(sealed, key, called)).toEqual(Buffer.from(made));
        expect(seal(made, key, called)).not.toEqual(sealed);
      }),
    );
  });

  test("open under no other key or name", () => {
    fc.assert(
      fc.property(bytes, name, name, (made, called, other) => {
        const sealed = seal(made, key, called);
        const otherKey = Buffer.alloc(32, 2);
        expect(outcome(() => unseal(sealed, otherKey, called))).toBe("SEALED_FILE");
        const expected = Buffer.from(called).equals(Buffer.from(other)) ? "ok" : "SEALED_FILE";
        expect(outcome(() => unseal(sealed, key, other))).toBe(expected);
      }),
    );
  });

  test("do not open with any byte changed, cut off or added", () => {
    const sealed = seal(Buffer.from("the private key"), key, "web");
    for (let at = 0; at < sealed.length; at += 1) {
      const bent = Buffer.from(sealed);
      bent[at] = sealed.readUInt8(at) ^ 1;
      expect(outcome(() => unseal(bent, key, "web"))).toBe("SEALED_FILE");
      expect(outcome(() => unseal(sealed.subarray(0, at), key, "web"))).toBe("SEALED_FILE");
    }
    const longer = Buffer.concat([sealed, Buffer.of(0)]);
    expect(outcome(() => unseal(longer, key, "web"))).toBe("SEALED_FILE");
  });

  test("a key file of another length, or in a place that is none, is refused with the path", async () => {
    const path = join(dir, "cache.key");
    await writeFile(path, Buffer.alloc(31));
    await expect(sealingKey(path)).rejects.toMatchObject({
      code: "SEALING_KEY",
      message: expect.stringContaining(path) as string,
    });
    await expect(sealingKey(join(path, "below-a-file"))).rejects.toMatchObject({
      code: "SEALING_KEY",
    });
    expect(readFileSync(path)).toHaveLength(31);
  });
});
