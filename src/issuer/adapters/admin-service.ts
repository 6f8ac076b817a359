import type * as wire from "../../wire/herald/v1/admin.ts";
import { Finding_Result } from "../../wire/herald/v1/admin.ts";
import type { Issuer } from "../issuer.ts";
import { type AdminOptions, streamHandler, unaryHandler } from "./admin-calls.ts";

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

export interface AdminServiceOptions extends AdminOptions {
  readonly surroundings: AdminSurroundings;
}

/** The issuer's own state over the admin API. */
export function adminService(options: AdminServiceOptions): wire.AdminServiceServer {
  const unary = unaryHandler(options);
  return {
    getStatus: unary(() => statusMessage(options.issuer, options.surroundings)),
    tailEvents: streamHandler(options)((request: wire.TailEventsRequest, signal) =>
      tail(request, options, signal),
    ),
  };
}

async function* tail(
  request: wire.TailEventsRequest,
  { surroundings }: AdminServiceOptions,
  signal: AbortSignal,
): AsyncGenerator<wire.TailEventsResponse, void, undefined> {
  const since = request.since === 0n ? {} : { since: Number(request.since) };
  for await (const { sequence, bytes } of surroundings.tailEvents({ ...since, signal }))
    yield { sequence: BigInt(sequence), event: Buffer.from(bytes).toString("utf8") };
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
