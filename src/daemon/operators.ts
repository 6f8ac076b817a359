import type { ServerUnaryCall } from "@grpc/grpc-js";
import { accountFiles, procCredentials } from "../attest/adapters/linux-accounts.ts";
import { attestPeer } from "../attest/attestation.ts";
import { unixSelectors } from "../attest/unix-selectors.ts";
import type { Operator } from "../core/envelope/audit-payloads.ts";
import { AdminError } from "../issuer/adapters/admin-calls.ts";
import { peerOf } from "../rpc/call-peer.ts";
import type { TlsCallers } from "../rpc/tls-callers.ts";
import type { IssuerConfig } from "./config.ts";

/**
 * Who gives an order: over TLS an administrator, known by its SVID; on the Unix socket root, the issuer's own user or one of a group, known from the
 * kernel (invariant 7).
 */
export function operators(
  config: IssuerConfig,
  callers: TlsCallers<Operator>,
): (call: Pick<ServerUnaryCall<unknown, unknown>, "metadata">) => Promise<Operator> {
  const sources = [unixSelectors({ names: accountFiles(), processes: procCredentials() })];
  return async (call) => {
    const admin = callers.callerOf(call);
    if (admin !== undefined) return admin;
    const peer = peerOf(call);
    const { uid, pid } = peer;
    const { group } = config.admin;
    if (uid === 0 || uid === process.getuid?.()) return { kind: "unix", uid, pid };
    if (group !== undefined) {
      const held: readonly string[] = await attestPeer(peer, sources);
      const wanted = ["gid", "group", "supplementary_gid", "supplementary_group"].map(
        (kind) => `unix:${kind}:${group}`,
      );
      if (wanted.some((selector) => held.includes(selector))) return { kind: "unix", uid, pid };
    }
    throw new AdminError(
      "NOT_PERMITTED",
      `uid ${uid} may not give orders to this issuer; use root or its own user${group === undefined ? ", or set admin.group in its configuration" : ` or a member of group ${group}`}`,
    );
  };
}
