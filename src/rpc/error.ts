import { HeraldError } from "../kit/errors.ts";

/** Everything that can go wrong between a socket and a handler. Stable; the text of an error is not. */
export type RpcErrorCode =
  /** The kernel did not tell who is at the other end. */
  | "PEER_UNREADABLE"
  /** The process at the other end had ended before it was known. */
  | "PEER_GONE"
  /** The process at the other end lives in a PID namespace that this one cannot see (PID 0, TM-W-09). */
  | "PEER_FOREIGN"
  /** One user holds more connections than a user may (TM-W-05). */
  | "PEER_TOO_MANY"
  /** A call that came by no attested connection. */
  | "PEER_UNKNOWN"
  | "PLATFORM_UNSUPPORTED"
  | "SOCKET_IN_USE"
  | "SOCKET_PATH_TOO_LONG"
  | "SOCKET_PATH_TAKEN"
  | "SOCKET_FOLDER_MISSING"
  | "SOCKET_FAILED"
  | "PORT_IN_USE"
  | "PORT_FAILED"
  | "ADDRESS_INVALID"
  | "NOBODY_LISTENS"
  | "ACCESS_DENIED"
  | "TIMED_OUT"
  | "REPLY_TOO_LARGE"
  | "CALL_FAILED";

/** What this room throws. */
export class RpcError extends HeraldError<RpcErrorCode> {}

/** The errno name of a failed system call (`ECONNREFUSED`), and `UNKNOWN` for anything else thrown. */
export function errnoOf(thrown: unknown): string {
  if (!(thrown instanceof Error) || !("code" in thrown)) return "UNKNOWN";
  return typeof thrown.code === "string" ? thrown.code : "UNKNOWN";
}
