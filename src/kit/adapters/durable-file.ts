import { type FileHandle, mkdir, open, readFile, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";

/** Files that survive a crash at any moment. Used by the adapters of several rooms. */

/**
 * Replaces a file: after a crash it holds the old bytes or the new ones, never a part. Durable once it resolves. Two writers of one path must not run at once.
 */
export async function writeDurably(path: string, bytes: Uint8Array, mode = 0o600): Promise<void> {
  const beside = `${path}.new`;
  const file = await openFresh(beside, mode);
  try {
    await file.writeFile(bytes);
    // The umask may have taken bits away, never added: what must be private is private from the first byte on.
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(beside, path);
  await syncFolder(dirname(path));
}

/** Opens a file that was not there. What a crash left is not written into: it would keep its mode, or be a link to somewhere. */
async function openFresh(path: string, mode: number): Promise<FileHandle> {
  try {
    return await open(path, "wx", mode);
  } catch (thrown) {
    if (isMissing(thrown)) await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    await rm(path, { force: true });
    return await open(path, "wx", mode);
  }
}

/** The file's bytes, or undefined when it does not exist. */
export async function readIfThere(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path);
  } catch (thrown) {
    if (isMissing(thrown)) return undefined;
    throw thrown;
  }
}

/** Makes renames and removals in a folder durable: their directory entries are data of the folder. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** Did it fail because there is no such file? */
function isMissing(thrown: unknown): boolean {
  return thrown instanceof Error && "code" in thrown && thrown.code === "ENOENT";
}
