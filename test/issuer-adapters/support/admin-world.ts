import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Server, ServiceError } from "@grpc/grpc-js";
import type { Operator } from "../../../src/core/envelope/audit-payloads.ts";
import { authorityService } from "../../../src/issuer/adapters/admin-authorities.ts";
import { AdminError, type AdminOptions } from "../../../src/issuer/adapters/admin-calls.ts";
import { entryService } from "../../../src/issuer/adapters/admin-entries.ts";
import { nodeService } from "../../../src/issuer/adapters/admin-nodes.ts";
import { silentLog } from "../../../src/kit/log.ts";
import { dialUnix } from "../../../src/rpc/grpc-client.ts";
import { createGrpcServer } from "../../../src/rpc/grpc-server.ts";
import { linuxPeerReader } from "../../../src/rpc/linux-peer.ts";
import { listenUnix } from "../../../src/rpc/unix-server.ts";
import { AuthorityServiceService } from "../../../src/wire/herald/v1/authorities.ts";
import { EntryServiceClient, EntryServiceService } from "../../../src/wire/herald/v1/entries.ts";
import { NodeServiceClient, NodeServiceService } from "../../../src/wire/herald/v1/nodes.ts";
import { type Office, openOffice } from "../../issuer/support/office.ts";

/** The admin API's services of an issuer, on a server that listens nowhere yet. */
export function adminServer(office: Office, operatorOf: AdminOptions["operatorOf"]): Server {
  const { issuer } = office.host;
  const common = { issuer, operatorOf, log: silentLog };
  const server = createGrpcServer();
  server.addService(EntryServiceService, entryService(common));
  server.addService(AuthorityServiceService, authorityService(common));
  server.addService(NodeServiceService, nodeService({ ...common, enrolmentUrl: "https://x" }));
  return server;
}

/** An issuer whose admin API is called over a Unix socket by whoever runs the test. */
export class AdminWorld {
  readonly office: Office;
  readonly entries: EntryServiceClient;
  readonly nodes: NodeServiceClient;
  /** Nobody is an operator while this is set. */
  denied = false;
  readonly #close: () => Promise<void>;

  private constructor(
    office: Office,
    clients: { entries: EntryServiceClient; nodes: NodeServiceClient },
    close: () => Promise<void>,
  ) {
    this.office = office;
    this.entries = clients.entries;
    this.nodes = clients.nodes;
    this.#close = close;
  }

  static async open(): Promise<AdminWorld> {
    const office = await openOffice();
    const folder = mkdtempSync(join(tmpdir(), "hadmin-"));
    const path = join(folder, "admin.sock");
    const operator: Operator = { kind: "unix", uid: 0, pid: 1 };
    const operatorOf = (): Promise<Operator> =>
      world.denied
        ? Promise.reject(new AdminError("NOT_PERMITTED", "you may not; ask somebody"))
        : Promise.resolve(operator);
    const server = adminServer(office, operatorOf);
    const listener = await listenUnix({
      path,
      server,
      peers: linuxPeerReader(),
      log: silentLog,
    });
    const { target, credentials, options } = await dialUnix(path);
    const clients = {
      entries: new EntryServiceClient(target, credentials, options),
      nodes: new NodeServiceClient(target, credentials, options),
    };
    const world = new AdminWorld(office, clients, async () => {
      clients.entries.close();
      clients.nodes.close();
      await listener.close(0);
      rmSync(folder, { recursive: true, force: true });
    });
    return world;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#close();
  }
}

/** The error that a call ends with. */
export async function errorOf(
  start: (done: (error: ServiceError | null) => void) => unknown,
): Promise<ServiceError> {
  return await new Promise((resolve, reject) => {
    start((error) => (error === null ? reject(new Error("it went through")) : resolve(error)));
  });
}
