import { randomBytes } from "node:crypto";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import {
  readSecret,
  readSecretKey,
  readSecretText,
  type SecretSource,
} from "../../src/kit/adapters/secret-source.ts";

const folder = mkdtempSync(join(tmpdir(), "herald-secret-"));
afterAll(() => rmSync(folder, { recursive: true }));

const key = randomBytes(32);

function put(name: string, content: Uint8Array | string, mode = 0o600): SecretSource {
  writeFileSync(join(folder, name), content);
  chmodSync(join(folder, name), mode);
  return { from: "file", path: join(folder, name) };
}

describe("a secret", () => {
  test("comes from a file, the environment, or a systemd credential", async () => {
    const file = put("pin", "314159\n");
    const env = { PIN: "314159", CREDENTIALS_DIRECTORY: folder };
    const sources: readonly SecretSource[] = [
      file,
      { from: "env", name: "PIN" },
      { from: "credential", name: "pin" },
    ];
    for (const source of sources) expect(await readSecretText(source, env)).toBe("314159");
  });

  test.for([
    ["bytes", key],
    ["hex", `${key.toString("hex")}\n`],
    ["base64", key.toString("base64")],
  ] as const)("a key may be written as %s", async ([form, content]) => {
    expect(await readSecretKey(put(`key-${form}`, content), {})).toEqual(key);
  });

  test("that everybody may read is refused; one for a group is not", async () => {
    await expect(readSecret(put("open", "x", 0o604), {})).rejects.toMatchObject({
      code: "SECRET_EXPOSED",
    });
    expect(await readSecretText(put("group", "x", 0o640), {})).toBe("x");
  });

  const missing: readonly (readonly [string, SecretSource, Record<string, string>])[] = [
    ["no file", { from: "file", path: join(folder, "none") }, {}],
    ["no variable", { from: "env", name: "NONE" }, {}],
    ["an empty variable", { from: "env", name: "EMPTY" }, { EMPTY: "" }],
    ["no credentials folder", { from: "credential", name: "pin" }, {}],
    ["no such credential", { from: "credential", name: "none" }, { CREDENTIALS_DIRECTORY: folder }],
  ];
  test.for(missing)("that is not there is named: %s", async ([, source, env]) => {
    await expect(readSecret(source, env)).rejects.toMatchObject({ code: "SECRET_MISSING" });
  });

  test.for(["short", "z".repeat(64), key.subarray(1).toString("base64")])(
    "that is no key of 32 bytes is refused, and not quoted: %s",
    async (content) => {
      const refused = await readSecretKey(put("bad", content), {}).catch(
        (thrown: unknown) => thrown,
      );
      expect(refused).toMatchObject({ code: "SECRET_FORM" });
      expect(String(refused)).not.toContain(content);
    },
  );

  test("of several lines is no PIN or token", async () => {
    await expect(readSecretText(put("lines", "a\nb"), {})).rejects.toMatchObject({
      code: "SECRET_FORM",
    });
  });
});
