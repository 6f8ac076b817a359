import { HeraldError } from "../kit/errors.ts";

/** Everything that a verb itself can fail with. */
export type CliErrorCode =
  /** The command line asks for nothing that makes sense. */
  | "USAGE"
  /** No issuer answers on the admin socket. */
  | "ADMIN_UNREACHABLE"
  /** This user may not call the issuer. */
  | "ADMIN_DENIED"
  /** The issuer took the call and said no. */
  | "ADMIN_REFUSED"
  /** No node daemon answers on its socket. */
  | "NODE_UNREACHABLE"
  /** The node daemon has no identity for this process. */
  | "NODE_REFUSED"
  /** The stream ended, the rotation did not. */
  | "ROTATION_UNFINISHED"
  /** A file could not be written. */
  | "FILE_FAILED";

/** What a verb throws: what happened, and apart from it what to do. */
export class CliError extends HeraldError<CliErrorCode> {
  /** Absent when the message says it all. */
  readonly cure: string | undefined;
  /** The server's own code, such as ENTRY_INVALID or NOT_FOUND, when it gave one. */
  readonly reason: string | undefined;

  /** The member of the request that the server names as the one at fault. */
  readonly field: string | undefined;

  constructor(
    code: CliErrorCode,
    message: string,
    options: ErrorOptions & {
      readonly cure?: string | undefined;
      readonly reason?: string;
      readonly field?: string | undefined;
    } = {},
  ) {
    super(code, message, options);
    this.cure = options.cure;
    this.reason = options.reason;
    this.field = options.field;
  }
}
