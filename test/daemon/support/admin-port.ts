import { once } from "node:events";
import { connect as connectTcp, type Socket } from "node:net";
import { type ConnectionOptions, connect, type TLSSocket } from "node:tls";
import { credentials, type ServiceError } from "@grpc/grpc-js";
import { onTestFinished } from "vitest";
import type { Bundle } from "../../../src/core/bundle/bundle.ts";
import type { Operator } from "../../../src/core/envelope/audit-payloads.ts";
import type { AdminEntry } from "../../../src/core/policy/admins.ts";
import { certificatesToPem, toPem } from "../../../src/core/x509/pem.ts";
import type { AdminRules } from "../../../src/daemon/admin-callers.ts";
import { serveAdminTls } from "../../../src/daemon/serve-admin-tls.ts";
import { AdminError } from "../../../src/issuer/adapters/admin-calls.ts";
import { TlsCallers } from "../../../src/rpc/tls-callers.ts";
import type { TlsListener } from "../../../src/rpc/tls-server.ts";
import { AuthorityServiceClient } from "../../../src/wire/herald/v1/authorities.ts";
import { EntryServiceClient, ListEntriesRequest } from "../../../src/wire/herald/v1/entries.ts";
import { RecordedLog } from "../../identity/support/recorded-log.ts";
import { type Office, openOffice } from "../../issuer/support/office.ts";
import { adminServer } from "../../issuer-adapters/support/admin-world.ts";
import {
  hour,
  idOf,
  makeAuthority,
  makeBundle,
  makeSvid,
  noon,
  type SvidBend,
  type WorldAuthority,
} from "../../support/ca-world.ts";

/** A client's certificates and key, PEM. */
export interface Pair {
  readonly cert: string;
  readonly key: string;
}

/** An issuer's admin API on a port, and what its callers are judged by in the test's hands. */
export class AdminPort {
  readonly office: Office;
  readonly listener: TlsListener;
  readonly log: RecordedLog;
  readonly authority: WorldAuthority;
  bundle: Bundle | undefined;
  entries: (AdminEntry & { readonly id: string })[] = [
    { id: "ops", spiffeId: idOf("/ops"), admin: true },
  ];
  /** By serial: the entry that an SVID is of. */
  readonly issuedFor: Map<string, string> = new Map();
  readonly revoked: Set<string> = new Set();
  /** CAs below the root that are not Herald's: DER, hex. */
  readonly strangers: Set<string> = new Set();

  private constructor(parts: {
    readonly office: Office;
    readonly listener: TlsListener;
    readonly log: RecordedLog;
    readonly authority: WorldAuthority;
  }) {
    this.office = parts.office;
    this.listener = parts.listener;
    this.log = parts.log;
    this.authority = parts.authority;
    this.bundle = makeBundle("example.org", [parts.authority]);
  }

  /** Closed when the test ends. */
  static async open(
    settings: { readonly handshakeMs?: number; readonly maxPerAddress?: number } = {},
  ): Promise<AdminPort> {
    const office = await openOffice();
    const callers = new TlsCallers<Operator>();
    const log = new RecordedLog();
    const { clock, domain, host } = office;
    const rules: AdminRules = {
      trustDomain: domain.trustDomain,
      bundle: () => world.bundle,
      isOwnAuthority: (certificate) =>
        !world.strangers.has(Buffer.from(certificate).toString("hex")),
      entries: () => world.entries,
      entryOf: (serial) => world.issuedFor.get(serial),
      isRevoked: (serial) => world.revoked.has(serial),
      clock,
    };
    const admin = adminServer(office, (call) => {
      const operator = callers.callerOf(call);
      return operator === undefined
        ? Promise.reject(new AdminError("NOT_PERMITTED", "nobody"))
        : Promise.resolve(operator);
    });
    const tls = { listen: { host: "127.0.0.1", port: 0 }, dnsNames: [] };
    const { issuer } = host;
    const listener = await serveAdminTls({
      tls,
      admin,
      issuer,
      callers,
      rules,
      log,
      clock,
      ...settings,
    });
    const world: AdminPort = new AdminPort({ office, listener, log, authority: makeAuthority() });
    onTestFinished(async () => {
      await listener.close(0);
      admin.forceShutdown();
      host.kill();
    });
    return world;
  }

  /** An SVID as a client holds it; by default of an administrator. */
  svid(bend: SvidBend = {}, path: readonly WorldAuthority[] = [this.authority]): Pair {
    const dates = { notBefore: noon - hour, notAfter: noon + hour };
    const { chain, privateKey } = makeSvid(path, {
      id: "spiffe://example.org/ops",
      ...dates,
      ...bend,
    });
    return { cert: certificatesToPem(chain), key: toPem("PRIVATE KEY", privateKey) };
  }

  /** A client that shows this, or nothing, and believes the server whatever it shows. */
  client(shown: Pair | undefined): Client {
    const channel = credentials.createSsl(
      null,
      shown === undefined ? null : Buffer.from(shown.key),
      shown === undefined ? null : Buffer.from(shown.cert),
      { rejectUnauthorized: false, checkServerIdentity: () => undefined },
    );
    const target = `127.0.0.1:${this.listener.port}`;
    const options = {
      "grpc.enable_http_proxy": 0,
      "grpc.enable_retries": 0,
      // SNI may not be an address.
      "grpc.ssl_target_name_override": "issuer.invalid",
    };
    const client = new Client(
      new EntryServiceClient(target, channel, options),
      new AuthorityServiceClient(target, channel, options),
    );
    onTestFinished(() => client.close());
    return client;
  }

  /** A TCP connection that says nothing. */
  async silent(): Promise<Socket> {
    const socket = connectTcp(this.listener.port, "127.0.0.1");
    socket.on("error", () => {});
    onTestFinished(() => void socket.destroy());
    await once(socket, "connect");
    return socket;
  }

  /** A TLS connection; how it ends, or that it is open for HTTP/2. */
  async handshake(shown: Pair | undefined, options: ConnectionOptions = {}): Promise<TLSSocket> {
    const socket = connect({
      host: "127.0.0.1",
      port: this.listener.port,
      rejectUnauthorized: false,
      ALPNProtocols: ["h2"],
      ...shown,
      ...options,
    });
    socket.on("error", () => {});
    onTestFinished(() => void socket.destroy());
    return await new Promise((resolve, reject) => {
      socket.once("secureConnect", () => resolve(socket));
      socket.once("close", () => reject(new Error("closed")));
      socket.once("error", reject);
    });
  }
}

/** Calls of the admin API; each tells the name of its operator's deed, or how it failed. */
export class Client {
  readonly entries: EntryServiceClient;
  readonly authorities: AuthorityServiceClient;

  constructor(entries: EntryServiceClient, authorities: AuthorityServiceClient) {
    this.entries = entries;
    this.authorities = authorities;
  }

  /** "ok", or the gRPC code. */
  async list(): Promise<string | number> {
    return await new Promise((resolve) => {
      this.entries.listEntries(
        ListEntriesRequest.decode(new Uint8Array()),
        (error: ServiceError | null) => resolve(error === null ? "ok" : error.code),
      );
    });
  }

  close(): void {
    this.entries.close();
    this.authorities.close();
  }
}
