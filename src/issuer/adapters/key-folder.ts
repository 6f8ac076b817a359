import { createPrivateKey, type KeyObject } from "node:crypto";
import { rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { syncFolder, writeDurably } from "../../kit/adapters/durable-file.ts";
import { readSealed, seal, unseal } from "../../kit/adapters/sealed-file.ts";

/** Private keys as sealed PKCS#8 files in one folder, 0600. */
export class KeyFolder {
  readonly #folder: string;
  readonly #sealingKey: Uint8Array;

  constructor(folder: string, sealingKey: Uint8Array) {
    this.#folder = folder;
    this.#sealingKey = sealingKey;
  }

  /** Durable once it resolves. */
  async save(name: string, key: KeyObject): Promise<void> {
    const pkcs8 = key.export({ format: "der", type: "pkcs8" });
    await writeDurably(this.#path(name), seal(pkcs8, this.#sealingKey, name));
  }

  /** @throws SealedFileError SEALED_FILE, SEALED_FILE_MODE */
  async load(name: string): Promise<KeyObject | undefined> {
    const sealed = await readSealed(this.#path(name));
    if (sealed === undefined) return undefined;
    return createPrivateKey({
      key: unseal(sealed, this.#sealingKey, name),
      format: "der",
      type: "pkcs8",
    });
  }

  /** Durable once it resolves, also when there was no such key. */
  async delete(name: string): Promise<void> {
    await rm(this.#path(name), { force: true });
    await syncFolder(dirname(this.#path(name)));
  }

  #path(name: string): string {
    return join(this.#folder, `${name}.key`);
  }
}
