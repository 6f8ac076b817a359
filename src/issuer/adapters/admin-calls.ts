import type { EventEmitter } from "node:events";
import {
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceError,
  type sendUnaryData,
  status,
} from "@grpc/grpc-js";
import type { Operator } from "../../core/envelope/audit-payloads.ts";
import { HeraldError, reasonOf } from "../../kit/errors.ts";
import type { Log } from "../../kit/log.ts";
import { IssuerError, type IssuerErrorCode } from "../error.ts";
import type { Issuer } from "../issuer.ts";
import { errorDetails } from "./error-details.ts";

/** What every service of the admin API is made of. */
export interface AdminOptions {
  readonly issuer: Issuer;
  /** The operator behind a call; rejects for a caller who is none. */
  readonly operatorOf: (call: AdminCall) => Promise<Operator>;
  readonly log: Log;
}

type AdminCall = Pick<ServerUnaryCall<unknown, unknown>, "metadata">;

/** Why a caller of the admin API is turned away. */
export class AdminError extends HeraldError<"NOT_PERMITTED"> {}

/** How the issuer's codes look in gRPC. */
const statusOf: Readonly<Record<IssuerErrorCode, status>> = {
  FENCED: status.FAILED_PRECONDITION,
  STATE_CORRUPT: status.DATA_LOSS,
  JOURNAL_BROKEN: status.UNAVAILABLE,
  OBJECT_TOO_LARGE: status.INVALID_ARGUMENT,
  STORE_PENDING: status.UNAVAILABLE,
  AUDIT_UNAVAILABLE: status.UNAVAILABLE,
  AUDIT_BEHIND: status.UNAVAILABLE,
  ANSWER_GONE: status.UNAVAILABLE,
  AUDIT_CONTRADICTED: status.DATA_LOSS,
  AUDIT_NOT_FOUND: status.NOT_FOUND,
  WITNESS_AWAY: status.UNAVAILABLE,
  ENTRY_INVALID: status.INVALID_ARGUMENT,
  ENTRY_EXISTS: status.ALREADY_EXISTS,
  ENTRY_NOT_FOUND: status.NOT_FOUND,
  ENTRY_CONFLICT: status.ABORTED,
  FIELD_INVALID: status.INVALID_ARGUMENT,
  LABEL_INVALID: status.INVALID_ARGUMENT,
  NODE_NAME_INVALID: status.INVALID_ARGUMENT,
  NODE_NAME_TAKEN: status.ALREADY_EXISTS,
  NODE_NOT_FOUND: status.NOT_FOUND,
  ATTESTOR_OFF: status.FAILED_PRECONDITION,
  AUTHORITY_MISSING: status.FAILED_PRECONDITION,
  AUTHORITY_UNKNOWN: status.NOT_FOUND,
  AUTHORITY_STATUS: status.FAILED_PRECONDITION,
  KEY_STORE: status.FAILED_PRECONDITION,
  KEY_UNUSABLE: status.FAILED_PRECONDITION,
  KEY_STORE_AWAY: status.UNAVAILABLE,
  UPSTREAM_FILES: status.FAILED_PRECONDITION,
  UPSTREAM_CHAIN: status.FAILED_PRECONDITION,
  UPSTREAM_REFUSED: status.FAILED_PRECONDITION,
  UPSTREAM_AWAY: status.UNAVAILABLE,
  ROTATION_RUNNING: status.FAILED_PRECONDITION,
  ROTATION_NONE: status.FAILED_PRECONDITION,
  ROTATION_TOO_FAR: status.FAILED_PRECONDITION,
  ROTATION_NODE: status.NOT_FOUND,
  ROTATION_ORDER: status.INVALID_ARGUMENT,
  SVID_UNKNOWN: status.NOT_FOUND,
  REVOCATION_INVALID: status.INVALID_ARGUMENT,
  REVOCATIONS_FULL: status.RESOURCE_EXHAUSTED,
  CRL_UNSIGNED: status.FAILED_PRECONDITION,
  MINT_INVALID: status.INVALID_ARGUMENT,
};

/** Codes that are about one member of a request only. */
const fieldOf: Readonly<Partial<Record<IssuerErrorCode, string>>> = {
  NODE_NAME_INVALID: "node_name",
  NODE_NAME_TAKEN: "node_name",
};

/** Makes handlers of unary calls: who calls is found out first, and whatever is thrown becomes a gRPC status. */
export function unaryHandler(options: AdminOptions) {
  return <Request, Response>(answer: (request: Request, by: Operator) => Promise<Response>) =>
    (call: ServerUnaryCall<Request, Response>, done: sendUnaryData<Response>): void => {
      const answered = async (): Promise<void> => {
        try {
          const by = await options.operatorOf(call);
          done(null, await answer(call.request, by));
        } catch (thrown) {
          done(failure(thrown, options.log));
        }
      };
      void answered();
    };
}

/**
 * Makes handlers of streaming calls: who calls is found out first, then messages go out one at a time, as fast as the caller takes them. `signal`
 * aborts when the caller has gone.
 */
export function streamHandler(options: AdminOptions) {
  return <Request, Response>(
    messages: (request: Request, signal: AbortSignal) => AsyncIterable<Response>,
  ) =>
    (call: ServerWritableStream<Request, Response>): void => {
      const stop = new AbortController();
      call.on("cancelled", () => stop.abort());
      const streamed = async (): Promise<void> => {
        try {
          await options.operatorOf(call);
          for await (const message of messages(call.request, stop.signal))
            if (!call.write(message)) await drained(call, stop.signal);
          call.end();
        } catch (thrown) {
          call.destroy(failure(thrown, options.log) as Error);
        } finally {
          stop.abort();
        }
      };
      void streamed();
    };
}

/** Resolves when a stream takes more, and also when nobody takes anything any more: what feeds it must not wait for ever. */
function drained(call: Pick<EventEmitter, "once">, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    call.once("drain", resolve);
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

/** What was thrown, as gRPC tells it: a code, a sentence, and typed details of what a program may act on. */
export function failure(thrown: unknown, log: Log): Partial<ServiceError> {
  if (thrown instanceof AdminError)
    return typed(status.PERMISSION_DENIED, thrown.message, { reason: "PERMISSION_DENIED" });
  if (thrown instanceof IssuerError) {
    const { code: reason, message, field = fieldOf[reason] } = thrown;
    return typed(statusOf[reason], `${reason}: ${message}`, { reason, field });
  }
  // Parsers of core say what is wrong; anything else is ours.
  if (thrown instanceof HeraldError && /^(ID_|SELECTOR_)/.test(String(thrown.code)))
    return typed(status.INVALID_ARGUMENT, thrown.message, { reason: String(thrown.code) });
  log.error({ reason: reasonOf(thrown) }, "an admin call failed");
  return typed(status.INTERNAL, reasonOf(thrown), { reason: "INTERNAL" });
}

function typed(
  code: status,
  details: string,
  about: { readonly reason: string; readonly field?: string | undefined },
): Partial<ServiceError> {
  return { code, details, metadata: errorDetails({ code, message: details, ...about }) };
}
