import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import type { KeyMaker, KeyPair } from "../../src/core/x509/key-pair.ts";
import { keyObjectSigner, type Signer } from "../../src/core/x509/signer.ts";
import type { AuthorityKeys } from "../../src/issuer/ports.ts";

/** A fresh P-256 pair, made at once. */
export function keyPair(): KeyPair {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  return { privateKey, spki: new Uint8Array(publicKey.export({ type: "spki", format: "der" })) };
}

/** Makes keys without leaving the event loop, so that nothing depends on when a thread is done. */
export const promptKeys: KeyMaker = { p256: () => Promise.resolve(keyPair()) };

/** Authorities' keys in memory; they outlive the issuer's process. */
export class MemoryAuthorityKeys implements AuthorityKeys {
  /** Called before an authority signs an SVID: what must hold then is judged here. */
  onSign: (authority: string, toBeSigned: Uint8Array) => void = () => undefined;
  readonly #keys = new Map<string, KeyObject>();
  readonly #lost = new Map<string, KeyObject>();

  create(authority: string): Promise<Signer> {
    const { privateKey } = keyPair();
    this.#keys.set(authority, privateKey);
    return Promise.resolve(promptSigner(privateKey, () => undefined));
  }

  open(authority: string): Promise<Signer | undefined> {
    const key = this.#keys.get(authority);
    return Promise.resolve(
      key && promptSigner(key, (toBeSigned) => this.onSign(authority, toBeSigned)),
    );
  }

  adopt(authority: string, key: KeyObject): Promise<void> {
    this.#keys.set(authority, key);
    return Promise.resolve();
  }

  delete(authority: string): Promise<void> {
    this.lose(authority);
    return Promise.resolve();
  }

  /** How many keys there are. */
  get size(): number {
    return this.#keys.size;
  }

  /** The key store loses a key. */
  lose(authority: string): void {
    const key = this.#keys.get(authority);
    if (key !== undefined) this.#lost.set(authority, key);
    this.#keys.delete(authority);
  }

  /** And has it again. */
  find(authority: string): void {
    const key = this.#lost.get(authority);
    if (key !== undefined) this.#keys.set(authority, key);
  }
}

function promptSigner(key: KeyObject, onSign: (toBeSigned: Uint8Array) => void): Signer {
  const { algorithm, spki } = keyObjectSigner(key);
  return {
    algorithm,
    spki,
    async sign(toBeSigned) {
      await Promise.resolve();
      onSign(toBeSigned);
      return sign("sha256", toBeSigned, key);
    },
  };
}
