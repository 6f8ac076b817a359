import {
  type CallOptions,
  type ClientReadableStream,
  Metadata,
  type ServiceError,
  status,
} from "@grpc/grpc-js";
import { systemClock } from "../kit/clock.ts";
import { deadlineIn } from "../rpc/grpc-client.ts";
import {
  AdminServiceClient,
  type CreateEntryRequest,
  type CreateEntryResponse,
  type CreateJoinTokenRequest,
  type CreateJoinTokenResponse,
  type DeleteEntryRequest,
  type DeleteEntryResponse,
  type GetStatusResponse,
  type ListAuthoritiesResponse,
  type ListEntriesRequest,
  type ListEntriesResponse,
  type ListNodesResponse,
  type RotateAuthorityResponse,
  type TailEventsRequest,
  type TailEventsResponse,
  type WatchRotationResponse,
} from "../wire/herald/v1/admin.ts";
import { deniedCure, findAdmin } from "./admin-address.ts";
import { CliError, type CliErrorCode } from "./cli-error.ts";
import { splitCure } from "./report.ts";
import type { Surroundings } from "./surroundings.ts";

/** An issuer's calls. Each fails with a CliError: ADMIN_UNREACHABLE, ADMIN_DENIED or ADMIN_REFUSED. */
export interface Admin {
  readonly getStatus: () => Promise<GetStatusResponse>;
  readonly createEntry: (request: CreateEntryRequest) => Promise<CreateEntryResponse>;
  readonly listEntries: (request: ListEntriesRequest) => Promise<ListEntriesResponse>;
  readonly deleteEntry: (request: DeleteEntryRequest) => Promise<DeleteEntryResponse>;
  readonly createJoinToken: (request: CreateJoinTokenRequest) => Promise<CreateJoinTokenResponse>;
  readonly listNodes: () => Promise<ListNodesResponse>;
  readonly listAuthorities: () => Promise<ListAuthoritiesResponse>;
  /** Streams end with the issuer, or quietly when `signal` aborts. */
  readonly rotateAuthority: (signal: AbortSignal) => AsyncIterable<RotateAuthorityResponse>;
  readonly watchRotation: (signal: AbortSignal) => AsyncIterable<WatchRotationResponse>;
  readonly tailEvents: (
    request: TailEventsRequest,
    signal: AbortSignal,
  ) => AsyncIterable<TailEventsResponse>;
}

type Done<Response> = (error: ServiceError | null, response: Response) => void;
/** Starts one unary call; a function, since the generated methods are overloaded. */
type Start<Response> = (
  metadata: Metadata,
  options: Partial<CallOptions>,
  done: Done<Response>,
) => unknown;

/** Long enough for an issuer that journals and audits on a slow disk. */
const answerWithinMs = 30_000;

/**
 * Calls `run` with a connection to the issuer and closes it afterwards.
 * @throws {CliError} USAGE, ADMIN_UNREACHABLE, ADMIN_DENIED, ADMIN_REFUSED
 */
export async function withIssuer<T>(
  flag: string | undefined,
  surroundings: Surroundings,
  run: (admin: Admin) => Promise<T>,
): Promise<T> {
  const { address, dial } = await findAdmin(flag, surroundings);
  const client = new AdminServiceClient(dial.target, dial.credentials, dial.options);
  try {
    return await run(adminOver(client, address));
  } finally {
    client.close();
  }
}

function adminOver(client: AdminServiceClient, address: string): Admin {
  const call = async <Response>(start: Start<Response>): Promise<Response> =>
    await new Promise((resolve, reject) => {
      // grpc-js holds deadlines against the system's clock, so no other one will do.
      const deadline = deadlineIn(systemClock, answerWithinMs);
      start(new Metadata(), { deadline }, (error, response) =>
        error === null ? resolve(response) : reject(adminFailure(error, address)),
      );
    });
  return {
    getStatus: async () => await call((m, o, done) => client.getStatus({}, m, o, done)),
    createEntry: async (it) => await call((m, o, done) => client.createEntry(it, m, o, done)),
    listEntries: async (it) => await call((m, o, done) => client.listEntries(it, m, o, done)),
    deleteEntry: async (it) => await call((m, o, done) => client.deleteEntry(it, m, o, done)),
    createJoinToken: async (it) =>
      await call((m, o, done) => client.createJoinToken(it, m, o, done)),
    listNodes: async () => await call((m, o, done) => client.listNodes({}, m, o, done)),
    listAuthorities: async () => await call((m, o, done) => client.listAuthorities({}, m, o, done)),
    rotateAuthority: (signal) => follow(client.rotateAuthority({}), signal, address),
    watchRotation: (signal) => follow(client.watchRotation({}), signal, address),
    tailEvents: (request, signal) => follow(client.tailEvents(request), signal, address),
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
  const [, reason = status[error.code], text = error.details] =
    /^([A-Z][A-Z_]+): ([^]*)$/.exec(error.details) ?? [];
  const { message, cure } = splitCure(text);
  const meaning = meanings[error.code];
  const says = meaning?.says ?? "refused";
  return new CliError(
    meaning?.code ?? "ADMIN_REFUSED",
    `the issuer at ${address} ${says}: ${message} (${reason})`,
    { cause: error, reason, cure: cure ?? meaning?.cure },
  );
}

function isServiceError(thrown: unknown): thrown is ServiceError {
  return thrown instanceof Error && "details" in thrown && "code" in thrown;
}
