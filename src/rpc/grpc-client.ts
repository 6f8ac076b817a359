import { once } from "node:events";
import { connect } from "node:net";
import {
  type ChannelCredentials,
  type ChannelOptions,
  credentials,
  type ServiceError,
  status,
} from "@grpc/grpc-js";
import type { Clock } from "../kit/clock.ts";
import { errnoOf, RpcError, type RpcErrorCode } from "./error.ts";
import { longestMessage } from "./grpc-server.ts";

/** What a generated grpc-js client's constructor takes: `new AdminClient(dial.target, dial.credentials, dial.options)`. */
export interface UnixDial {
  readonly target: string;
  readonly credentials: ChannelCredentials;
  readonly options: ChannelOptions;
}

/**
 * The path in `unix:///run/herald/herald.sock` or `unix:/run/...`; an absolute path alone will do too. No authority,
 * no query, no fragment (WEP-09).
 * @throws {RpcError} ADDRESS_INVALID
 */
export function parseUnixAddress(address: string): string {
  const path = address.startsWith("unix:")
    ? address.slice("unix:".length).replace(/^\/\/(?=\/)/, "")
    : address;
  if (!/^\/(?!\/)[^?#\0]+$/.test(path)) {
    throw new RpcError(
      "ADDRESS_INVALID",
      `"${address}" is not the address of a Unix socket; write unix:///absolute/path`,
    );
  }
  return path;
}

/**
 * Looks whether somebody listens at `address`, so that a person is told what is wrong before gRPC retries in silence.
 * @throws {RpcError} ADDRESS_INVALID, NOBODY_LISTENS, ACCESS_DENIED, CALL_FAILED
 */
export async function dialUnix(address: string): Promise<UnixDial> {
  const path = parseUnixAddress(address);
  const probe = connect(path);
  try {
    await once(probe, "connect");
  } catch (cause) {
    throw dialFailure(path, cause);
  } finally {
    probe.destroy();
  }
  return {
    target: `unix:${path}`,
    credentials: credentials.createInsecure(),
    options: {
      "grpc.max_receive_message_length": longestMessage,
      // A proxy variable of the shell has no say over a local socket.
      "grpc.enable_http_proxy": 0,
    },
  };
}

/** A deadline for one call, `timeoutMs` from now. */
export function deadlineIn(clock: Clock, timeoutMs: number): Date {
  return new Date(clock.now() + timeoutMs);
}

/** A failed call in this room's words; gRPC's own stay in `cause`. */
export function callFailure(error: ServiceError, address: string): RpcError {
  const meaning = meanings[error.code];
  const [code, cure] = meaning ?? ["CALL_FAILED", "see the daemon's log"];
  return new RpcError(code, `${address}: ${error.details}; ${cure}`, { cause: error });
}

const meanings: Partial<Record<status, readonly [RpcErrorCode, string]>> = {
  [status.UNAVAILABLE]: ["NOBODY_LISTENS", "see whether the daemon runs, and its log"],
  [status.DEADLINE_EXCEEDED]: ["TIMED_OUT", "see the daemon's log, or allow more time"],
  [status.PERMISSION_DENIED]: ["ACCESS_DENIED", "run as a user whom the daemon allows this"],
  [status.UNAUTHENTICATED]: ["ACCESS_DENIED", "run as a user whom the daemon allows this"],
};

function dialFailure(path: string, cause: unknown): RpcError {
  switch (errnoOf(cause)) {
    case "ENOENT":
      return new RpcError(
        "NOBODY_LISTENS",
        `there is no socket ${path}; start the daemon, or give the address that it serves`,
        { cause },
      );
    case "ECONNREFUSED":
      return new RpcError(
        "NOBODY_LISTENS",
        `nobody listens at ${path}, a daemon that has ended left it; start the daemon`,
        { cause },
      );
    case "EACCES":
      return new RpcError(
        "ACCESS_DENIED",
        `${path} may not be opened by this user; run as the daemon's user or root`,
        { cause },
      );
    default:
      return new RpcError("CALL_FAILED", `${path} could not be opened; see the cause`, { cause });
  }
}
