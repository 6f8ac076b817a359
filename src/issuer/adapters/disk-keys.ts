import type { KeyObject } from "node:crypto";
import type { KeyType } from "../../core/x509/key-type.ts";
import { keyObjectSigner, type Signer } from "../../core/x509/signer.ts";
import type { AuthorityKeys } from "../ports.ts";
import type { KeyFolder } from "./key-folder.ts";
import { makeAuthorityKey } from "./memory-keys.ts";

/** Authorities' keys as sealed files of a folder. */
export class DiskKeys implements AuthorityKeys {
  readonly #folder: KeyFolder;
  readonly #keyType: KeyType;

  constructor(folder: KeyFolder, keyType: KeyType) {
    this.#folder = folder;
    this.#keyType = keyType;
  }

  async create(authority: string): Promise<Signer> {
    const key = await makeAuthorityKey(this.#keyType);
    await this.#folder.save(fileOf(authority), key);
    return keyObjectSigner(key);
  }

  /** @throws SealedFileError when the file is cut, changed, sealed under another key, or open to others */
  async open(authority: string): Promise<Signer | undefined> {
    const key = await this.#folder.load(fileOf(authority));
    return key === undefined ? undefined : keyObjectSigner(key);
  }

  /** @throws {X509Error} X509_KEY when it is not on P-256 or P-384 */
  async adopt(authority: string, key: KeyObject): Promise<void> {
    keyObjectSigner(key);
    await this.#folder.save(fileOf(authority), key);
  }

  async delete(authority: string): Promise<void> {
    await this.#folder.delete(fileOf(authority));
  }
}

function fileOf(authority: string): string {
  return `authority-${authority}`;
}
