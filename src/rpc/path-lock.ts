import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { RpcError } from "./error.ts";
import { loadLibc } from "./libc.ts";

/** The right to serve at a path; a process' death gives it up. */
export interface PathLock {
  release(): Promise<void>;
}

/**
 * Takes the right to `path`, or undefined if a living process has it: flock(2) on `<path>.lock`, 0600 so that no other
 * user can keep us out by locking it (an abstract socket, or the folder itself, could be taken by anybody). The empty
 * file stays: were it unlinked, one could hold a lock on it while another makes a new one.
 */
export async function lockPath(path: string): Promise<PathLock | undefined> {
  const file = `${path}.lock`;
  const libc = loadLibc();
  const { O_RDWR, O_CREAT, O_NOFOLLOW } = constants;
  const handle = await open(file, O_RDWR | O_CREAT | O_NOFOLLOW, 0o600);
  const refusal = libc.lock(handle.fd);
  if (refusal === undefined) return { release: async () => await handle.close() };
  await handle.close();
  // EWOULDBLOCK has the same number.
  if (refusal.errno === "EAGAIN" || refusal.errno === "EWOULDBLOCK") return undefined;
  throw new RpcError(
    "SOCKET_FAILED",
    `${file} cannot be locked (${refusal.errno}); put the socket on a local file system`,
  );
}
