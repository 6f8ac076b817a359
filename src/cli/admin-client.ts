import { AdminServiceClient } from "../wire/herald/v1/admin.ts";
import { findAdmin } from "./admin-address.ts";
import { adminChannel } from "./admin-channel.ts";
import { type AuditCalls, auditCalls } from "./calls/audit.ts";
import { type AuthorityCalls, authorityCalls } from "./calls/authorities.ts";
import { type EntryCalls, entryCalls } from "./calls/entries.ts";
import { type IssuerCalls, issuerCalls } from "./calls/issuer.ts";
import { type NodeCalls, nodeCalls } from "./calls/nodes.ts";
import { type SvidCalls, svidCalls } from "./calls/svids.ts";
import type { Surroundings } from "./surroundings.ts";

/** An issuer's calls. Each fails with a CliError: ADMIN_UNREACHABLE, ADMIN_DENIED or ADMIN_REFUSED. */
export interface Admin
  extends IssuerCalls,
    EntryCalls,
    NodeCalls,
    AuthorityCalls,
    SvidCalls,
    AuditCalls {}

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
  const { target, credentials } = dial;
  const first = new AdminServiceClient(target, credentials, dial.options);
  const options = { ...dial.options, channelOverride: first.getChannel() };
  const channel = adminChannel({ address, target, credentials, options });
  try {
    return await run({
      ...issuerCalls(channel),
      ...entryCalls(channel),
      ...nodeCalls(channel),
      ...authorityCalls(channel),
      ...svidCalls(channel),
      ...auditCalls(channel),
    });
  } finally {
    first.close();
  }
}
