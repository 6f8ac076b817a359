import { createPrivateKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { join } from "node:path";
import { keyObjectSigner, type Signer } from "../../core/x509/signer.ts";
import { readIfThere, writeDurably } from "../../kit/adapters/durable-file.ts";
import { seal, unseal } from "../../kit/adapters/sealed-file.ts";
import type { AuthorityKeys } from "../ports.ts";

/** Private keys as sealed PKCS#8 files in one folder, 0600. */
export class KeyFolder implements AuthorityKeys {
  readonly #folder: string;
  readonly #sealingKey: Uint8Array;

  constructor(folder: string, sealingKey: Uint8Array) {
    this.#folder = folder;
    this.#sealingKey = sealingKey;
  }

  async create(authority: string): Promise<Signer> {
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    await this.save(authorityFile(authority), privateKey);
    return keyObjectSigner(privateKey);
  }

  async open(authority: string): Promise<Signer | undefined> {
    const key = await this.load(authorityFile(authority));
    return key === undefined ? undefined : keyObjectSigner(key);
  }

  /** Durable once it resolves. */
  async save(name: string, key: KeyObject): Promise<void> {
    const pkcs8 = key.export({ format: "der", type: "pkcs8" });
    await writeDurably(this.#path(name), seal(pkcs8, this.#sealingKey, name));
  }

  async load(name: string): Promise<KeyObject | undefined> {
    const sealed = await readIfThere(this.#path(name));
    if (sealed === undefined) return undefined;
    return createPrivateKey({
      key: unseal(sealed, this.#sealingKey, name),
      format: "der",
      type: "pkcs8",
    });
  }

  #path(name: string): string {
    return join(this.#folder, `${name}.key`);
  }
}

function authorityFile(authority: string): string {
  return `authority-${authority}`;
}
