import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DiskKeys } from "../../src/issuer/adapters/disk-keys.ts";
import { KeyFolder } from "../../src/issuer/adapters/key-folder.ts";
import { MemoryKeys } from "../../src/issuer/adapters/memory-keys.ts";
import { authorityKeysContract } from "./authority-keys.ts";

// The third store, a PKCS#11 token, is tried in test/interop/softhsm.test.ts.

authorityKeysContract("in memory", false, async () => ({
  open: async (keyType) => new MemoryKeys(keyType),
  close: async () => undefined,
}));

authorityKeysContract("on disk", true, async () => {
  const folder = mkdtempSync(join(tmpdir(), "herald-keys-"));
  return {
    open: async (keyType) => new DiskKeys(new KeyFolder(folder, Buffer.alloc(32, 7)), keyType),
    close: async () => rmSync(folder, { recursive: true }),
  };
});
