import { token26 } from "../../core/envelope/object-keys.ts";
import { parseSpiffeId, type SpiffeId } from "../../core/spiffe/spiffe-id.ts";
import type * as wire from "../../wire/herald/v1/audit.ts";
import { type AuditQuery, mayMatch, queryKind } from "../audit/audit-search.ts";
import { IssuerError } from "../error.ts";
import type { AuditReader } from "../ports.ts";
import { type AdminOptions, streamHandler, unaryHandler } from "./admin-calls.ts";

/** One message of the audit stream. */
interface StreamedRecord {
  readonly sequence: number;
  readonly bytes: Uint8Array;
}

export interface AuditServiceOptions extends AdminOptions {
  readonly trustDomain: string;
  /** Of the control root. */
  readonly pin: string;
  readonly issuerId: SpiffeId;
  readonly reader: AuditReader & {
    /** Records of all issuers, as they come. */
    tailAudit(options: {
      readonly since?: number;
      readonly signal: AbortSignal;
    }): AsyncIterable<StreamedRecord & { readonly subject: string }>;
  };
}

/** The audit chains over the admin API. */
export function auditService(options: AuditServiceOptions): wire.AuditServiceServer {
  const { issuer, trustDomain, pin, issuerId } = options;
  const unary = unaryHandler(options);
  return {
    describeAudit: unary(async () => {
      const told = await issuer.witnesses.told();
      return {
        trustDomain,
        pin,
        issuer: issuerId,
        head: Buffer.from(issuer.newestHead() ?? []),
        witnesses: told.map(({ name, checkpoint, problem }) => ({
          name,
          problem,
          checkpoint: Buffer.from(checkpoint ?? []),
        })),
      };
    }),
    readAudit: streamHandler(options)((request: wire.ReadAuditRequest, signal) =>
      read(request, options, signal),
    ),
  };
}

// What fits the request, as it is read: nothing is gathered here.
async function* read(
  request: wire.ReadAuditRequest,
  options: AuditServiceOptions,
  signal: AbortSignal,
): AsyncGenerator<wire.ReadAuditResponse, void, undefined> {
  const query = queryOf(request);
  for await (const { sequence, bytes } of recordsOf(request, options, signal))
    if (mayMatch(bytes, query)) yield { sequence: BigInt(sequence), envelope: Buffer.from(bytes) };
}

async function* recordsOf(
  request: wire.ReadAuditRequest,
  { reader, issuerId }: AuditServiceOptions,
  signal: AbortSignal,
): AsyncGenerator<StreamedRecord, void, undefined> {
  const issuer = token26(request.issuer === "" ? issuerId : parseSpiffeId(request.issuer));
  const since = Number(request.since);
  if (!request.follow) {
    yield* reader.readAudit({ issuer, from: Math.max(1, since), signal });
    return;
  }
  const from = since === 0 ? {} : { since };
  for await (const message of reader.tailAudit({ ...from, signal }))
    if (message.subject.endsWith(`.${issuer}`)) yield message;
}

function queryOf({ node, find }: wire.ReadAuditRequest): AuditQuery {
  if (find !== "" && queryKind(find) === undefined) {
    throw new IssuerError(
      "AUDIT_NOT_FOUND",
      `${JSON.stringify(find.slice(0, 80))} is no record's number, serial or SHA-256; write digits, or lower-case hex`,
    );
  }
  return { node: node === "" ? "" : parseSpiffeId(node), find };
}
