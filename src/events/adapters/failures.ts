import { JetStreamApiError } from "@nats-io/jetstream";
import { errors } from "@nats-io/transport-node";
import { reasonOf } from "../../kit/errors.ts";
import { EventsError, type EventsErrorCode } from "../error.ts";

/** What was being done, for the text; and what it means when nobody listens on the subject. */
export interface Doing {
  /** A phrase such as "write bundle.example". */
  readonly what: string;
  /** Defaults to BUS_NO_STORE, as most requests go to JetStream. */
  readonly nobodyMeans?: "BUS_NO_ISSUER" | "BUS_NO_STORE";
}

const advice: Readonly<Record<string, string>> = {
  BUS_UNREACHABLE: "Herald reconnects by itself; see that the broker runs and can be reached",
  BUS_REFUSED: "the broker's configuration must name this program's public nkey",
  BUS_FORBIDDEN: "compare the broker's permissions with `herald doctor`",
  BUS_CONFLICT: "somebody else wrote first; load the state again",
  BUS_TIMEOUT: "it may have happened or not; repeating the same bytes is safe",
  BUS_NO_ISSUER: "no issuer listens; see that one runs",
  BUS_NO_STORE: "JetStream or its stream does not answer; run `herald doctor`",
  BUS_FULL: "the stream is at its limit; give it room or export and trim it",
  BUS_TOO_LARGE: "make it smaller or split it into pages",
};

// JetStream's own error codes (server/errors.json): the HTTP-like status is the same for too many of them.
const byApiCode: Readonly<Record<number, EventsErrorCode>> = {
  10071: "BUS_CONFLICT", // wrong last sequence
  10164: "BUS_CONFLICT", // wrong last sequence, subject unknown
  10023: "BUS_FULL", // insufficient resources
  10028: "BUS_FULL", // memory resources exceeded
  10047: "BUS_FULL", // storage resources exceeded
  10077: "BUS_FULL", // store failed: a limit with discard new
  10054: "BUS_TOO_LARGE", // message size exceeds maximum
  10039: "BUS_NO_STORE", // JetStream not enabled for the account
  10059: "BUS_NO_STORE", // stream not found
  10074: "BUS_MISCONFIGURED", // replicas > 1 not supported in non-clustered mode
};

/** Whatever a vendor threw, as an `EventsError` with its cause. */
export function failure(thrown: unknown, doing: Doing): EventsError {
  if (thrown instanceof EventsError) return thrown;
  const code = codeOf(thrown, doing.nobodyMeans ?? "BUS_NO_STORE");
  const cure = advice[code] ?? "see the cause";
  return new EventsError(code, `cannot ${doing.what}: ${reasonOf(thrown)}; ${cure}`, {
    cause: thrown,
  });
}

function codeOf(thrown: unknown, nobodyMeans: EventsErrorCode): EventsErrorCode {
  if (thrown instanceof JetStreamApiError) return byApiCode[thrown.code] ?? "BUS_MISCONFIGURED";
  // nats.js wraps: the class that tells is often the cause.
  for (let error = thrown; error instanceof Error; error = error.cause) {
    const code = ownCode(error, nobodyMeans);
    if (code !== undefined) return code;
  }
  return "BUS_UNREACHABLE";
}

function ownCode(error: Error, nobodyMeans: EventsErrorCode): EventsErrorCode | undefined {
  if (error instanceof errors.TimeoutError) return "BUS_TIMEOUT";
  if (error instanceof errors.NoRespondersError) return nobodyMeans;
  if (error instanceof errors.PermissionViolationError) return "BUS_FORBIDDEN";
  if (error instanceof errors.AuthorizationError) return "BUS_REFUSED";
  if (error instanceof errors.UserAuthenticationExpiredError) return "BUS_REFUSED";
  if (error.message.includes("max_payload")) return "BUS_TOO_LARGE";
  // Not exported by @nats-io/jetstream 3.4, so known by its name only.
  if (error.name === "JetStreamNotEnabled") return "BUS_NO_STORE";
  return undefined;
}
