import {
  AuditServiceClient,
  type DescribeAuditResponse,
  type ReadAuditRequest,
  type ReadAuditResponse,
} from "../../wire/herald/v1/audit.ts";
import type { AdminChannel } from "../admin-channel.ts";

/** The audit chains. */
export interface AuditCalls {
  readonly describeAudit: () => Promise<DescribeAuditResponse>;
  /** Ends with the issuer, or quietly when `signal` aborts. */
  readonly readAudit: (
    request: ReadAuditRequest,
    signal: AbortSignal,
  ) => AsyncIterable<ReadAuditResponse>;
}

export function auditCalls(channel: AdminChannel): AuditCalls {
  const client = channel.service(AuditServiceClient);
  const { call, follow } = channel;
  return {
    describeAudit: async () => await call((m, o, done) => client.describeAudit({}, m, o, done)),
    readAudit: (request, signal) => follow(client.readAudit(request), signal),
  };
}
