import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { stat } from "node:fs/promises";
import { HeraldError, reasonOf } from "../errors.ts";
import { readIfThere, writeDurably } from "./durable-file.ts";

/** Files under AES-256-GCM. The file's own name is bound in, so that two sealed files cannot be swapped. */

export type SealedFileErrorCode = "SEALED_FILE" | "SEALED_FILE_MODE" | "SEALING_KEY";

/** A sealed file or its key that cannot be used. */
export class SealedFileError extends HeraldError<SealedFileErrorCode> {}

const nonceBytes = 12;
const tagBytes = 16;

/** The 32-byte key in a file of its own; made, durable and 0600, when there is none. @throws SealedFileError SEALING_KEY */
export async function sealingKey(path: string): Promise<Buffer> {
  try {
    const known = await readIfThere(path);
    if (known === undefined) {
      const made = randomBytes(32);
      await writeDurably(path, made);
      return made;
    }
    if (known.byteLength !== 32) throw new RangeError(`it has ${known.byteLength} bytes, not 32`);
    return known;
  } catch (cause) {
    throw new SealedFileError(
      "SEALING_KEY",
      `cannot use the sealing key ${path}: ${reasonOf(cause)}. Is its folder there and writable for this user?`,
      { cause },
    );
  }
}

/** A sealed file's bytes; undefined when there is none. @throws SealedFileError SEALED_FILE_MODE when others than its owner may read or write it */
export async function readSealed(path: string): Promise<Buffer | undefined> {
  const bytes = await readIfThere(path);
  if (bytes === undefined) return undefined;
  const { mode } = await stat(path);
  if ((mode & 0o077) === 0) return bytes;
  throw new SealedFileError(
    "SEALED_FILE_MODE",
    `${path} has mode ${(mode & 0o777).toString(8)}, and holds a key; see who could read it, then chmod 0600 it`,
  );
}

/** Seals bytes for a name: nonce, tag, ciphertext. */
export function seal(bytes: Uint8Array, key: Uint8Array, name: string): Buffer {
  const nonce = randomBytes(nonceBytes);
  const cipher = createCipheriv("aes-256-gcm", key, nonce).setAAD(Buffer.from(name, "utf8"));
  const sealed = Buffer.concat([cipher.update(bytes), cipher.final()]);
  return Buffer.concat([nonce, cipher.getAuthTag(), sealed]);
}

/** @throws SealedFileError SEALED_FILE when it was sealed under another key or name, or changed. */
export function unseal(sealed: Uint8Array, key: Uint8Array, name: string): Buffer {
  if (sealed.length < nonceBytes + tagBytes) {
    throw new SealedFileError(
      "SEALED_FILE",
      `${name} is cut off after ${sealed.length} bytes; restore it from a backup`,
    );
  }
  try {
    const decipher = createDecipheriv("aes-256-gcm", key, sealed.subarray(0, nonceBytes), {
      authTagLength: tagBytes,
    })
      .setAAD(Buffer.from(name, "utf8"))
      .setAuthTag(sealed.subarray(nonceBytes, nonceBytes + tagBytes));
    return Buffer.concat([
      decipher.update(sealed.subarray(nonceBytes + tagBytes)),
      decipher.final(),
    ]);
  } catch (cause) {
    throw new SealedFileError(
      "SEALED_FILE",
      `${name} was sealed under another key, or was cut or changed; bring the key that sealed it, or a backup`,
      { cause },
    );
  }
}
