import {
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceError,
  type sendUnaryData,
  status,
} from "@grpc/grpc-js";
import type { AuthorityState } from "../../core/envelope/payloads.ts";
import type { Entry, NodeSelection } from "../../core/policy/entry.ts";
import { parseSelector } from "../../core/spiffe/selector.ts";
import { parseSpiffeId } from "../../core/spiffe/spiffe-id.ts";
import { parseCertificate } from "../../core/x509/certificate.ts";
import { toPem } from "../../core/x509/pem.ts";
import { HeraldError, reasonOf } from "../../kit/errors.ts";
import type { Log } from "../../kit/log.ts";
import type * as wire from "../../wire/herald/v1/admin.ts";
import { Finding_Result } from "../../wire/herald/v1/admin.ts";
import { IssuerError, type IssuerErrorCode } from "../error.ts";
import type { Issuer } from "../issuer.ts";
import type { Operator } from "../options.ts";
import type { RotationProgress } from "../rotation.ts";

/** What the admin API tells beside the issuer itself. */
interface AdminSurroundings {
  readonly trustDomain: string;
  readonly issuerId: string;
  readonly enrolmentUrl: string;
  readonly busConnected: () => boolean;
  readonly findings: () => Promise<
    readonly {
      readonly check: string;
      readonly ok: boolean | "unknown";
      readonly detail: string;
      readonly cure?: string;
    }[]
  >;
  readonly tailEvents: (options: {
    readonly since?: number;
    readonly signal: AbortSignal;
  }) => AsyncIterable<{ readonly sequence: number; readonly bytes: Uint8Array }>;
}

export interface AdminServiceOptions {
  readonly issuer: Issuer;
  readonly surroundings: AdminSurroundings;
  /** The operator behind a call; rejects for a caller who is none. */
  readonly operatorOf: (call: AdminCall) => Promise<Operator>;
  readonly log: Log;
}

type AdminCall = Pick<ServerUnaryCall<unknown, unknown>, "metadata">;

/** Why a caller of the admin socket is turned away. */
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
  ENTRY_INVALID: status.INVALID_ARGUMENT,
  ENTRY_EXISTS: status.ALREADY_EXISTS,
  ENTRY_NOT_FOUND: status.NOT_FOUND,
  LABEL_INVALID: status.INVALID_ARGUMENT,
  NODE_NAME_INVALID: status.INVALID_ARGUMENT,
  NODE_NAME_TAKEN: status.ALREADY_EXISTS,
  AUTHORITY_MISSING: status.FAILED_PRECONDITION,
  KEY_STORE: status.FAILED_PRECONDITION,
  KEY_UNUSABLE: status.FAILED_PRECONDITION,
  KEY_STORE_AWAY: status.UNAVAILABLE,
  UPSTREAM_FILES: status.FAILED_PRECONDITION,
  UPSTREAM_CHAIN: status.FAILED_PRECONDITION,
  UPSTREAM_REFUSED: status.FAILED_PRECONDITION,
  UPSTREAM_AWAY: status.UNAVAILABLE,
  ROTATION_RUNNING: status.FAILED_PRECONDITION,
};

/** The admin API over the issuer: parse, call, print. Every order is in the audit chain with its operator before it is carried out. */
export function adminService(options: AdminServiceOptions): wire.AdminServiceServer {
  const { issuer, surroundings } = options;
  const unary = unaryHandler(options);
  return {
    getStatus: unary(() => statusMessage(issuer, surroundings)),
    createEntry: unary(async (request: wire.CreateEntryRequest, by) => ({
      entry: entryMessage(await issuer.createEntry(entryOf(request), by)),
    })),
    listEntries: unary((request: wire.ListEntriesRequest) => {
      const wanted = issuer.entries
        .list()
        .filter((entry) => request.spiffeId === "" || entry.spiffeId === request.spiffeId);
      return Promise.resolve({ entries: wanted.map(entryMessage) });
    }),
    deleteEntry: unary(async (request: wire.DeleteEntryRequest, by) => ({
      entry: entryMessage(await issuer.deleteEntry(request.id, by)),
    })),
    createJoinToken: unary(async (request: wire.CreateJoinTokenRequest, by) => {
      const made = await issuer.createToken(
        {
          nodeName: request.nodeName,
          labels: Object.fromEntries(request.labels),
          replaces: request.replaces,
        },
        by,
      );
      return {
        joinString: made.joinString,
        expiresAt: BigInt(made.expires),
        enrolmentUrl: surroundings.enrolmentUrl,
      };
    }),
    listNodes: unary(() =>
      Promise.resolve({ nodes: issuer.nodes.list().map((record) => nodeMessage(issuer, record)) }),
    ),
    listAuthorities: unary(() => {
      const rotation =
        issuer.rotation.running() === undefined
          ? undefined
          : progressMessage(issuer.rotation.progress());
      return Promise.resolve({
        authorities: issuer.authorities.list().map(authorityMessage),
        rotation,
      });
    }),
    rotateAuthority: (call) =>
      void follow(call, options, async (by) => void (await issuer.rotate(by))),
    watchRotation: (call) => void follow(call, options, () => Promise.resolve()),
    tailEvents: (call) => void tail(call, options),
  };
}

function unaryHandler(options: AdminServiceOptions) {
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

/** Streams the rotation's progress, a message a change, until it is done. */
async function follow(
  call: ServerWritableStream<unknown, { readonly progress: wire.RotationProgress | undefined }>,
  options: AdminServiceOptions,
  begin: (by: Operator) => Promise<void>,
): Promise<void> {
  const { issuer, log } = options;
  try {
    await begin(await options.operatorOf(call));
  } catch (thrown) {
    call.destroy(failure(thrown, log) as Error);
    return;
  }
  let told = "";
  const tell = (): void => {
    const progress = issuer.rotation.progress();
    const line = JSON.stringify(progress);
    if (line === told) return;
    told = line;
    call.write({ progress: progressMessage(progress) });
    if (progress.step === "done") end();
  };
  const stopListening = issuer.onProgress(tell);
  const end = (): void => {
    stopListening();
    call.end();
  };
  call.on("cancelled", stopListening);
  tell();
}

async function tail(
  call: ServerWritableStream<wire.TailEventsRequest, wire.TailEventsResponse>,
  options: AdminServiceOptions,
): Promise<void> {
  const stop = new AbortController();
  call.on("cancelled", () => stop.abort());
  try {
    await options.operatorOf(call);
    const since = call.request.since === 0n ? {} : { since: Number(call.request.since) };
    for await (const { sequence, bytes } of options.surroundings.tailEvents({
      ...since,
      signal: stop.signal,
    })) {
      const isReady = call.write({
        sequence: BigInt(sequence),
        event: Buffer.from(bytes).toString("utf8"),
      });
      if (!isReady) await new Promise<void>((resolve) => call.once("drain", resolve));
    }
    call.end();
  } catch (thrown) {
    call.destroy(failure(thrown, options.log) as Error);
  }
}

function failure(thrown: unknown, log: Log): Partial<ServiceError> {
  if (thrown instanceof AdminError)
    return { code: status.PERMISSION_DENIED, details: thrown.message };
  if (thrown instanceof IssuerError)
    return { code: statusOf[thrown.code], details: `${thrown.code}: ${thrown.message}` };
  // Parsers of core say what is wrong with a field; anything else is ours.
  if (thrown instanceof HeraldError && /^(ID_|SELECTOR_)/.test(String(thrown.code)))
    return { code: status.INVALID_ARGUMENT, details: thrown.message };
  log.error({ reason: reasonOf(thrown) }, "an admin call failed");
  return { code: status.INTERNAL, details: reasonOf(thrown) };
}

async function statusMessage(
  issuer: Issuer,
  surroundings: AdminSurroundings,
): Promise<wire.GetStatusResponse> {
  const { epoch, term, nodes, entries, pending, fenced } = issuer.status();
  const findings = (await surroundings.findings()).map(({ check, ok, detail, cure }) => {
    const result =
      ok === "unknown" ? Finding_Result.UNKNOWN : ok ? Finding_Result.OK : Finding_Result.FAILED;
    return { check, result, detail, cure: cure ?? "" };
  });
  return {
    trustDomain: surroundings.trustDomain,
    issuer: surroundings.issuerId,
    epoch: String(epoch),
    term: String(term),
    nodes,
    entries,
    pendingObjects: pending,
    fenced,
    busConnected: surroundings.busConnected(),
    findings,
    enrolmentUrl: surroundings.enrolmentUrl,
  };
}

function entryOf(request: wire.CreateEntryRequest): Parameters<Issuer["createEntry"]>[0] {
  const { x509TtlSeconds, dnsNames, hint, priority } = request;
  const spiffeId = parseSpiffeId(request.spiffeId);
  return {
    spiffeId,
    nodes: selectionOf(request.nodes),
    selectors: request.selectors.map(parseSelector),
    x509TtlSeconds,
    dnsNames,
    hint,
    priority,
  };
}

function selectionOf(message: wire.NodeSelection | undefined): NodeSelection {
  if (message !== undefined && message.ids.length > 0 && message.labels.size > 0) {
    throw new IssuerError("ENTRY_INVALID", "nodes: select by ids or by labels, not both");
  }
  if (message !== undefined && message.ids.length > 0)
    return { kind: "ids", ids: message.ids.map(parseSpiffeId) };
  if (message !== undefined && message.labels.size > 0)
    return { kind: "labels", labels: Object.fromEntries(message.labels) };
  return { kind: "all" };
}

function entryMessage(entry: Entry): wire.Entry {
  const { nodes } = entry;
  const selection = {
    ids: nodes.kind === "ids" ? nodes.ids : [],
    labels: new Map(nodes.kind === "labels" ? Object.entries(nodes.labels) : []),
  };
  return {
    ...entry,
    revision: String(entry.revision),
    nodes: selection,
    createdAt: BigInt(entry.createdAt),
  };
}

function nodeMessage(
  issuer: Issuer,
  record: ReturnType<Issuer["nodes"]["list"]>[number],
): wire.Node {
  const ack = issuer.acknowledgements.newest(record.node);
  return {
    spiffeId: record.node,
    labels: new Map(Object.entries(record.labels)),
    banned: record.banned,
    enrolledAt: BigInt(record.enrolledAt),
    expiresAt: BigInt(record.expiresAt),
    acknowledgedAt: BigInt(ack?.at ?? 0),
    consumers: ack?.consumers.filter((consumer) => consumer.connected).length ?? 0,
    svids: ack?.authorities.reduce((sum, use) => sum + use.svids, 0) ?? 0,
  };
}

function authorityMessage(authority: AuthorityState): wire.Authority {
  const der = Buffer.from(authority.certificate, "base64");
  return {
    id: authority.authority,
    status: authority.status,
    notAfter: BigInt(authority.notAfter),
    subjectKeyId: parseCertificate(der).subjectKeyId ?? "",
    certificate: toPem("CERTIFICATE", der),
  };
}

function progressMessage(progress: RotationProgress): wire.RotationProgress {
  const { rotation: id, step, liveNodes, waiting } = progress;
  return { id, step, liveNodes, waiting };
}
