import type { ServerUnaryCall } from "@grpc/grpc-js";
import { accountFiles, procCredentials } from "../attest/adapters/linux-accounts.ts";
import { AdminError } from "../issuer/adapters/admin-service.ts";
import type { Operator } from "../issuer/issuer.ts";
import { peerOf } from "../rpc/call-peer.ts";
import type { IssuerConfig } from "./config.ts";

/** Root, the issuer's own user and one group may give orders; who calls is said by the kernel (invariant 7). */
export function operators(
  config: IssuerConfig,
): (call: Pick<ServerUnaryCall<unknown, unknown>, "metadata">) => Promise<Operator> {
  const names = accountFiles();
  const processes = procCredentials();
  return async (call) => {
    const peer = peerOf(call);
    const { uid, gid, pid } = peer;
    const { group } = config.admin;
    if (uid === 0 || uid === process.getuid?.()) return { uid, pid };
    if (group !== undefined) {
      const { supplementaryGids } = await processes.credentialsOf(pid);
      for (const held of [gid, ...supplementaryGids]) {
        if ((held === group || (await names.groupName(held)) === group) && peer.isAlive())
          return { uid, pid };
      }
    }
    throw new AdminError(
      "NOT_PERMITTED",
      `uid ${uid} may not give orders to this issuer; use root or its own user${group === undefined ? ", or set admin.group in its configuration" : ` or a member of group ${group}`}`,
    );
  };
}
