import koffi from "koffi";
import { RpcError } from "./error.ts";

/** The system calls that Node lacks. Each returns what it got, or the errno's name. */
export interface Libc {
  /** SO_PEERCRED of a connected Unix socket. */
  peerCredentials(
    fd: number,
  ): { readonly pid: number; readonly uid: number; readonly gid: number } | Errno;
  /** SO_PEERPIDFD: a descriptor that the caller closes. */
  peerPidfd(fd: number): number | Errno;
  /** A descriptor for the process that has this number now; the caller closes it. */
  openPidfd(pid: number): number | Errno;
  /** Whether the process behind a pidfd has ended (also as a zombie, which kill(0) calls alive). */
  hasEnded(pidfd: number): boolean;
  /** flock(LOCK_EX | LOCK_NB): undefined when the lock is ours until the file is closed. */
  lock(fd: number): Errno | undefined;
}

/** A system call that failed, by its errno's name. */
export interface Errno {
  readonly errno: string;
}

const solSocket = 1;
/** asm-generic/socket.h; of Node's Linux platforms only powerpc numbers it otherwise (21). */
const soPeerCred = process.arch === "ppc64" ? 21 : 17;
/** Linux 6.5. */
const soPeerPidfd = 77;
/** The same number everywhere, as of every system call since Linux 5.1. Linux 5.3. */
const sysPidfdOpen = 434;
const pollIn = 1;
/** LOCK_EX | LOCK_NB */
const lockAtOnce = 2 | 4;

/** @throws {RpcError} PLATFORM_UNSUPPORTED outside Linux */
export function loadLibc(): Libc {
  if (process.platform !== "linux") {
    throw new RpcError(
      "PLATFORM_UNSUPPORTED",
      `callers can be told apart on Linux only, not on ${process.platform}; run the daemon in a Linux machine or container`,
    );
  }
  // null: the libc that Node itself is linked with, be it glibc or musl.
  const libc = koffi.load(null);
  const getsockopt = libc.func("int getsockopt(int, int, int, uint8_t *, uint8_t *)") as Call<
    [number, number, number, Buffer, Buffer]
  >;
  const poll = libc.func("int poll(uint8_t *, unsigned long, int)") as Call<
    [Buffer, number, number]
  >;
  const syscall = libc.func("long syscall(long, int, unsigned int)") as Call<
    [number, number, number]
  >;

  const flock = libc.func("int flock(int, int)") as Call<[number, number]>;

  function option(fd: number, name: number, size: number): Buffer | Errno {
    const value = Buffer.alloc(size);
    const length = Buffer.alloc(4);
    writeInt32(length, size);
    return getsockopt(fd, solSocket, name, value, length) === 0 ? value : lastErrno();
  }

  return {
    peerCredentials(fd) {
      const value = option(fd, soPeerCred, 12);
      if (!Buffer.isBuffer(value)) return value;
      const view = new Int32Array(value.buffer, value.byteOffset, 3);
      return { pid: view[0] ?? 0, uid: (view[1] ?? 0) >>> 0, gid: (view[2] ?? 0) >>> 0 };
    },
    peerPidfd(fd) {
      const value = option(fd, soPeerPidfd, 4);
      return Buffer.isBuffer(value) ? readInt32(value) : value;
    },
    openPidfd(pid) {
      const pidfd = syscall(sysPidfdOpen, pid, 0);
      return pidfd >= 0 ? pidfd : lastErrno();
    },
    hasEnded(pidfd) {
      // struct pollfd { int fd; short events; short revents; }
      const asked = Buffer.alloc(8);
      writeInt32(asked, pidfd);
      new Int16Array(asked.buffer, asked.byteOffset + 4, 1)[0] = pollIn;
      // An error answers "ended": who cannot be asked is not alive.
      return poll(asked, 1, 0) !== 0;
    },
    lock: (fd) => (flock(fd, lockAtOnce) === 0 ? undefined : lastErrno()),
  };
}

type Call<Arguments extends readonly unknown[]> = (...values: Arguments) => number;

function lastErrno(): Errno {
  const code = koffi.errno();
  const name = Object.entries(koffi.os.errno).find(([, value]) => value === code)?.[0];
  return { errno: name ?? `errno ${code}` };
}

// The machine's own byte order, as the kernel writes it (s390x is big-endian).
function readInt32(buffer: Buffer): number {
  return new Int32Array(buffer.buffer, buffer.byteOffset, 1)[0] ?? -1;
}

function writeInt32(buffer: Buffer, value: number): void {
  new Int32Array(buffer.buffer, buffer.byteOffset, 1)[0] = value;
}
