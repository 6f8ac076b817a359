import { once } from "node:events";
import { chmod, lstat, mkdtemp, rename, rm, stat, unlink } from "node:fs/promises";
import { connect, type Server } from "node:net";
import { dirname, isAbsolute, join } from "node:path";
import type { Log } from "../kit/log.ts";
import { errnoOf, RpcError } from "./error.ts";
import { lockPath } from "./path-lock.ts";

/** The name of a listening socket in the file system. */
export interface SocketFile {
  isOurs(): Promise<boolean>;
  /** Unlinks the name if it still names our socket. */
  remove(): Promise<void>;
}

interface SocketPlace {
  readonly path: string;
  readonly mode: number;
  readonly server: Server;
  readonly log: Log;
}

interface Inode {
  readonly ino: number;
  readonly dev: number;
}

/** sockaddr_un.sun_path has 108 bytes, the last one a zero (unix(7)). */
const longestPath = 107;
/**
 * A Unix connect fails at once (EAGAIN) when the queue is full; Node's 511 were too few for four processes that
 * connected 260 times each. The kernel cuts it to net.core.somaxconn, 4,096 by default.
 */
const backlog = 4096;

/**
 * Makes `server` listen at `path`, replacing the socket of a dead process and never that of a living one. The socket
 * is bound inside a private folder, gets its mode there, and only then its name: nobody can connect before (TM-W-07).
 * A crash in between leaves a folder `.hXXXXXX` beside the path, in nobody's way; a crash later leaves a dead socket,
 * which the next start replaces.
 */
export async function placeSocket(options: SocketPlace): Promise<SocketFile> {
  const { path } = options;
  checkPath(path);
  await checkFolder(dirname(path), options.log);
  const lock = await lockPath(path).catch((thrown: unknown) => {
    throw told(path, thrown);
  });
  // Of two daemons that start at once over a dead socket, both would replace it: one only gets the lock.
  if (lock === undefined) throw inUse(path);
  try {
    const inode = await bind(options);
    return {
      isOurs: () => names(path, inode),
      async remove() {
        if (await names(path, inode)) await unlink(path);
        await lock.release();
      },
    };
  } catch (thrown) {
    options.server.close();
    await lock.release();
    throw told(path, thrown);
  }
}

async function bind({ path, mode, server }: SocketPlace): Promise<Inode> {
  await requireFree(path);
  const nursery = await mkdtemp(join(dirname(path), ".h"));
  try {
    const bound = join(nursery, "s");
    checkPath(bound);
    server.listen({ path: bound, backlog });
    await once(server, "listening");
    await chmod(bound, mode);
    // The kernel keeps the inode while the socket is bound, so its number names us alone until we close.
    const inode = await lstat(bound);
    await rename(bound, path);
    return inode;
  } finally {
    await rm(nursery, { recursive: true, force: true });
  }
}

async function requireFree(path: string): Promise<void> {
  const found = await lstat(path).catch(absent);
  if (found === undefined) return;
  if (!found.isSocket()) {
    throw new RpcError(
      "SOCKET_PATH_TAKEN",
      `${path} is there already and is not a socket; remove it or choose another path`,
    );
  }
  // Also one of a server that knows nothing of our lock.
  if (await answers(path)) throw inUse(path);
}

/** Whether a process accepts connections there. In doubt yes: an identity socket is not taken away on a guess. */
async function answers(path: string): Promise<boolean> {
  const probe = connect(path);
  try {
    await once(probe, "connect");
    return true;
  } catch (thrown) {
    const errno = errnoOf(thrown);
    if (errno === "ECONNREFUSED" || errno === "ENOENT") return false;
    throw inUse(path, thrown);
  } finally {
    probe.destroy();
  }
}

async function names(path: string, inode: Inode): Promise<boolean> {
  const there = await lstat(path).catch(absent);
  return there !== undefined && there.ino === inode.ino && there.dev === inode.dev;
}

function absent(thrown: unknown): undefined {
  if (errnoOf(thrown) === "ENOENT") return undefined;
  throw thrown;
}

function checkPath(path: string): void {
  if (!isAbsolute(path) || path.includes("\0")) {
    throw new RpcError(
      "ADDRESS_INVALID",
      `"${path}" is no place for a socket; give an absolute path`,
    );
  }
  const length = Buffer.byteLength(path);
  if (length > longestPath) {
    throw new RpcError(
      "SOCKET_PATH_TOO_LONG",
      `${path} has ${length} bytes and the kernel takes ${longestPath}; choose a shorter folder`,
    );
  }
}

async function checkFolder(folder: string, log: Log): Promise<void> {
  const found = await stat(folder).catch((cause: unknown) => {
    throw errnoOf(cause) === "ENOENT" ? missing(folder) : failed(folder, cause);
  });
  if (!found.isDirectory()) throw missing(folder);
  const anybodyWrites = (found.mode & 0o002) !== 0 && (found.mode & 0o1000) === 0;
  if (anybodyWrites) {
    log.warn(
      { folder },
      "any user can replace the socket, and so pose as this daemon; make its folder writable for its owner only",
    );
  }
}

function missing(folder: string): RpcError {
  return new RpcError(
    "SOCKET_FOLDER_MISSING",
    `the folder ${folder} does not exist; make it, writable for the daemon's user only: install -d -m 0755 ${folder}`,
  );
}

function inUse(path: string, cause?: unknown): RpcError {
  return new RpcError(
    "SOCKET_IN_USE",
    `another process serves ${path}; stop it (ss -xlp shows it) or choose another path`,
    cause === undefined ? undefined : { cause },
  );
}

function told(path: string, thrown: unknown): RpcError {
  return thrown instanceof RpcError ? thrown : failed(path, thrown);
}

function failed(path: string, cause: unknown): RpcError {
  return new RpcError(
    "SOCKET_FAILED",
    `cannot serve ${path} (${errnoOf(cause)}); check the folder's owner and mode`,
    { cause },
  );
}
