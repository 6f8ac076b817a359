import {
  type CallOptions,
  type ChannelCredentials,
  type ClientOptions,
  type ClientReadableStream,
  Metadata,
  type ServiceError,
  status,
} from "@grpc/grpc-js";
import { systemClock } from "../kit/clock.ts";
import { deadlineIn } from "../rpc/grpc-client.ts";
import { deniedCure } from "./admin-address.ts";
import { CliError, type CliErrorCode } from "./cli-error.ts";
import { errorDetailsOf } from "./error-details.ts";
import { splitCure } from "./report.ts";

type Done<Response> = (error: ServiceError | null, response: Response) => void;

/** Starts one unary call; a function, since the generated methods are overloaded. */
type Start<Response> = (
  metadata: Metadata,
  options: Partial<CallOptions>,
  done: Done<Response>,
) => unknown;

/** Long enough for an issuer that journals and audits on a slow disk. */
const answerWithinMs = 30_000;

/** A generated client class: one service of the admin API. */
type ClientOf<Client> = new (
  target: string,
  credentials: ChannelCredentials,
  options: ClientOptions,
) => Client;

/** One connection to an issuer, over which all services of its admin API are called. */
export interface AdminChannel {
  readonly service: <Client>(make: ClientOf<Client>) => Client;
  /** @throws {CliError} ADMIN_UNREACHABLE, ADMIN_DENIED, ADMIN_REFUSED */
  readonly call: <Response>(start: Start<Response>) => Promise<Response>;
  /** Ends with the issuer, or quietly when `signal` aborts. @throws {CliError} as `call` */
  readonly follow: <Message>(
    stream: ClientReadableStream<Message>,
    signal: AbortSignal,
  ) => AsyncIterable<Message>;
}

/** How an issuer is dialled, and what it is called in failures. */
export interface AdminDial {
  readonly address: string;
  readonly target: string;
  readonly credentials: ChannelCredentials;
  readonly options: ClientOptions;
}

/** Calls over a channel that is dialled already. */
export function adminChannel(dial: AdminDial): AdminChannel {
  const { address, target, credentials, options } = dial;
  return {
    service: (make) => new make(target, credentials, options),
    call: async (start) =>
      await new Promise((resolve, reject) => {
        // grpc-js holds deadlines against the system's clock, so no other one will do.
        const deadline = deadlineIn(systemClock, answerWithinMs);
        start(new Metadata(), { deadline }, (error, response) =>
          error === null ? resolve(response) : reject(adminFailure(error, address)),
        );
      }),
    follow: (stream, signal) => follow(stream, signal, address),
  };
}

async function* follow<Message>(
  stream: ClientReadableStream<Message>,
  signal: AbortSignal,
  address: string,
): AsyncGenerator<Message> {
  const cancel = (): void => stream.cancel();
  signal.addEventListener("abort", cancel, { once: true });
  try {
    yield* stream as AsyncIterable<Message>;
  } catch (thrown) {
    if (signal.aborted) return;
    throw isServiceError(thrown) ? adminFailure(thrown, address) : thrown;
  } finally {
    signal.removeEventListener("abort", cancel);
    stream.cancel();
  }
}

const look = "look whether the issuer and NATS run (its log tells), then: herald doctor";
const seeLog = "see the issuer's log; herald doctor tells what it finds wrong";

/** What an answer's code means to the one who asked; other codes are plain refusals. */
const meanings: Readonly<Partial<Record<status, Meaning>>> = {
  [status.UNAVAILABLE]: { code: "ADMIN_UNREACHABLE", says: "cannot answer now", cure: look },
  [status.DEADLINE_EXCEEDED]: { code: "ADMIN_UNREACHABLE", says: "did not answer", cure: look },
  [status.PERMISSION_DENIED]: {
    code: "ADMIN_DENIED",
    says: "turned this user away",
    cure: deniedCure,
  },
  [status.UNIMPLEMENTED]: {
    code: "ADMIN_REFUSED",
    says: "does not know this call",
    cure: "use a `herald` of the issuer's own version; herald version tells this one's",
  },
  [status.NOT_FOUND]: {
    code: "ADMIN_REFUSED",
    says: "refused",
    cure: "look for the right one with the list verb of the same kind",
  },
  [status.ALREADY_EXISTS]: {
    code: "ADMIN_REFUSED",
    says: "refused",
    cure: "use the one that is there, or ask for another",
  },
  [status.INVALID_ARGUMENT]: {
    code: "ADMIN_REFUSED",
    says: "refused",
    cure: "correct the value that is named",
  },
  [status.INTERNAL]: { code: "ADMIN_REFUSED", says: "failed", cure: seeLog },
  [status.UNKNOWN]: { code: "ADMIN_REFUSED", says: "failed", cure: seeLog },
  [status.DATA_LOSS]: { code: "ADMIN_REFUSED", says: "failed", cure: seeLog },
};

interface Meaning {
  readonly code: CliErrorCode;
  readonly says: string;
  readonly cure: string;
}

/** A failed call in the CLI's words: the issuer's own text and code (`ENTRY_INVALID: what; cure`), and what to do. */
function adminFailure(error: ServiceError, address: string): CliError {
  const [, told = status[error.code], text = error.details] =
    /^([A-Z][A-Z_]+): ([^]*)$/.exec(error.details) ?? [];
  const { reason = told, field } = errorDetailsOf(error);
  const { message, cure } = splitCure(text);
  const meaning = meanings[error.code];
  const says = meaning?.says ?? "refused";
  return new CliError(
    meaning?.code ?? "ADMIN_REFUSED",
    `the issuer at ${address} ${says}: ${message} (${reason})`,
    { cause: error, reason, field, cure: cure ?? meaning?.cure },
  );
}

function isServiceError(thrown: unknown): thrown is ServiceError {
  return thrown instanceof Error && "details" in thrown && "code" in thrown;
}
