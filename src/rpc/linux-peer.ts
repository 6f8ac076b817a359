import { closeSync, readFileSync } from "node:fs";
import type { Socket } from "node:net";
import { RpcError } from "./error.ts";
import { type Errno, type Libc, loadLibc } from "./libc.ts";
import type { Peer, PeerReader } from "./peer.ts";

interface Credentials {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

/**
 * Reads peers from the Linux kernel: SO_PEERCRED, and a pidfd that pins the process against reuse of its number
 * (MEC-10). `pidfdFrom` is `socket` (SO_PEERPIDFD, the process that connected; Linux 6.5, else as `pid`) or `pid`
 * (the process that has the number at accept, checked as well as one can). Defaults to `socket`.
 * @throws {RpcError} PLATFORM_UNSUPPORTED outside Linux
 */
export function linuxPeerReader(options?: { readonly pidfdFrom?: "socket" | "pid" }): PeerReader {
  const libc = loadLibc();
  const pidfdFrom = options?.pidfdFrom ?? "socket";
  let connections = 0;
  return {
    read(socket) {
      const fd = descriptorOf(socket);
      const credentials = readCredentials(libc, fd);
      const pidfd = pidfdFrom === "socket" ? socketPidfd(libc, fd) : undefined;
      connections += 1;
      const held = holdProcess(libc, pidfd ?? pidPidfd(libc, credentials));
      if (!held.isAlive()) {
        held.close();
        throw gone(credentials.pid);
      }
      return { ...credentials, ...held, id: `${credentials.pid}-${connections}` };
    },
  };
}

function holdProcess(libc: Libc, pidfd: number): Pick<Peer, "isAlive" | "close"> {
  let open = true;
  return {
    isAlive: () => open && !libc.hasEnded(pidfd),
    close() {
      // Once only: the number may by then be somebody else's descriptor.
      if (!open) return;
      open = false;
      closeSync(pidfd);
    },
  };
}

/** Node shows the descriptor of a socket only on its handle. */
function descriptorOf(socket: Socket): number {
  const handle: unknown = Reflect.get(socket, "_handle");
  if (typeof handle === "object" && handle !== null && "fd" in handle) {
    if (typeof handle.fd === "number" && handle.fd >= 0) return handle.fd;
  }
  throw new RpcError(
    "PEER_UNREADABLE",
    "the connection was closed before its caller was known; connect again",
  );
}

function readCredentials(libc: Libc, fd: number): Credentials {
  const credentials = libc.peerCredentials(fd);
  if ("errno" in credentials) throw unreadable("SO_PEERCRED", credentials);
  if (credentials.pid <= 0) {
    throw new RpcError(
      "PEER_FOREIGN",
      "the caller is in a PID namespace that the daemon cannot see; run the daemon in the host's (hostPID: true)",
    );
  }
  return credentials;
}

/** Undefined where the kernel does not know the option. */
function socketPidfd(libc: Libc, fd: number): number | undefined {
  const pidfd = libc.peerPidfd(fd);
  if (typeof pidfd === "number") return pidfd;
  switch (pidfd.errno) {
    case "ENOPROTOOPT":
      return undefined;
    // Whichever of these a kernel chooses for a process that has been reaped (net/core/sock.c, kernel/fork.c).
    case "EINVAL":
    case "ESRCH":
    case "ENODATA":
      throw new RpcError(
        "PEER_GONE",
        "the caller ended before its connection was accepted; nothing to do",
      );
    default:
      throw unreadable("SO_PEERPIDFD", pidfd);
  }
}

/**
 * Before Linux 6.5: whoever has the number now. It is the caller unless the caller died and its number came round
 * between connect and accept; a change from here on shows in the start time, and a stranger of another user in the
 * user (SPIRE's peertracker asks the same two).
 */
function pidPidfd(libc: Libc, credentials: Credentials): number {
  const before = startTime(credentials.pid);
  const pidfd = libc.openPidfd(credentials.pid);
  if (typeof pidfd !== "number") {
    if (pidfd.errno === "ESRCH") throw gone(credentials.pid);
    throw unreadable("pidfd_open (Linux 5.3 or later)", pidfd);
  }
  try {
    const same =
      startTime(credentials.pid) === before && effectiveUser(credentials.pid) === credentials.uid;
    if (!same) throw gone(credentials.pid);
    return pidfd;
  } catch (thrown) {
    closeSync(pidfd);
    throw thrown;
  }
}

/** Field 22 of proc_pid_stat(5); field 2 may hold spaces and parentheses, so count from the last one. */
function startTime(pid: number): string {
  const stat = readProc(pid, "stat");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return fields[19] ?? "";
}

/** The second of the four in proc_pid_status(5). */
function effectiveUser(pid: number): number {
  const line = /^Uid:\t\d+\t(\d+)/m.exec(readProc(pid, "status"));
  return Number(line?.[1] ?? Number.NaN);
}

function readProc(pid: number, file: "stat" | "status"): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "utf8");
  } catch (cause) {
    throw gone(pid, cause);
  }
}

function gone(pid: number, cause?: unknown): RpcError {
  const message = `the caller, process ${pid}, ended before its connection was accepted; nothing to do`;
  return new RpcError("PEER_GONE", message, cause === undefined ? undefined : { cause });
}

function unreadable(what: string, { errno }: Errno): RpcError {
  return new RpcError(
    "PEER_UNREADABLE",
    `the kernel did not tell who connected (${what}: ${errno}); run the daemon on Linux 5.3 or later, outside a sandbox that hides peers`,
  );
}
