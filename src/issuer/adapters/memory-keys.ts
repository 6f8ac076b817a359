import { generateKeyPair, type KeyObject } from "node:crypto";
import { promisify } from "node:util";
import { curveOf, type KeyType } from "../../core/x509/key-type.ts";
import { keyObjectSigner, type Signer } from "../../core/x509/signer.ts";
import type { AuthorityKeys } from "../ports.ts";

const generate = promisify(generateKeyPair);

/** A private key for an authority, in this process's memory. */
export async function makeAuthorityKey(keyType: KeyType): Promise<KeyObject> {
  const { privateKey } = await generate("ec", { namedCurve: curveOf[keyType] });
  return privateKey;
}

/** Keys that end with the process: nothing to steal from a disk, and each restart prepares a new authority. */
export class MemoryKeys implements AuthorityKeys {
  readonly #keyType: KeyType;
  readonly #keys = new Map<string, Signer>();

  constructor(keyType: KeyType) {
    this.#keyType = keyType;
  }

  async create(authority: string): Promise<Signer> {
    const signer = keyObjectSigner(await makeAuthorityKey(this.#keyType));
    this.#keys.set(authority, signer);
    return signer;
  }

  open(authority: string): Promise<Signer | undefined> {
    return Promise.resolve(this.#keys.get(authority));
  }

  adopt(authority: string, key: KeyObject): Promise<void> {
    this.#keys.set(authority, keyObjectSigner(key));
    return Promise.resolve();
  }

  delete(authority: string): Promise<void> {
    this.#keys.delete(authority);
    return Promise.resolve();
  }
}
