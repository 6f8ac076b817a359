import { constants } from "node:fs";
import { type FileHandle, lstat, open, unlink } from "node:fs/promises";
import { errnoOf, RpcError } from "./error.ts";
import { loadLibc } from "./libc.ts";

/** The right to serve at a path; a process' death gives it up. */
export interface PathLock {
  release(): Promise<void>;
}

/**
 * Takes the right to `path`, or undefined if a living process has it. flock(2) on a file beside the path, 0600 so that
 * no other user can keep us out by locking it (an abstract socket, or the folder itself, could be taken by anybody). A
 * crash leaves the file, unlocked: it stands in nobody's way.
 */
export async function lockPath(path: string): Promise<PathLock | undefined> {
  const libc = loadLibc();
  const file = `${path}.lock`;
  for (;;) {
    const handle = await open(
      file,
      constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW,
      0o600,
    );
    const refusal = libc.lock(handle.fd);
    if (refusal !== undefined) {
      await handle.close();
      if (refusal.errno === "EAGAIN" || refusal.errno === "EWOULDBLOCK") return undefined;
      throw new RpcError(
        "SOCKET_FAILED",
        `${file} cannot be locked (${refusal.errno}); put the socket on a local file system`,
      );
    }
    // Whoever had it before unlinks it on release: a lock on a file without name keeps nobody out.
    if (await isNamed(handle, file)) {
      return {
        async release() {
          await unlink(file).catch(() => {});
          await handle.close();
        },
      };
    }
    await handle.close();
  }
}

async function isNamed(handle: FileHandle, file: string): Promise<boolean> {
  const held = await handle.stat();
  const named = await lstat(file).catch((thrown: unknown) => {
    if (errnoOf(thrown) === "ENOENT") return undefined;
    throw thrown;
  });
  return named?.ino === held.ino && named.dev === held.dev;
}
