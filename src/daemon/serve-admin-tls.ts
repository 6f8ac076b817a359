import type { Server, status } from "@grpc/grpc-js";
import type { Operator } from "../core/envelope/audit-payloads.ts";
import { certificatesToPem, toPem } from "../core/x509/pem.ts";
import { failure } from "../issuer/adapters/admin-calls.ts";
import type { Issuer } from "../issuer/issuer.ts";
import type { ServerIdentity } from "../issuer/signing/own-svid.ts";
import { type Clock, systemClock, type Timer } from "../kit/clock.ts";
import { reasonOf } from "../kit/errors.ts";
import type { Log } from "../kit/log.ts";
import type { RefusedCall, TlsCallers } from "../rpc/tls-callers.ts";
import { listenTls, type TlsIdentity, type TlsListener } from "../rpc/tls-server.ts";
import { type AdminRules, authenticateAdmin, authoriseAdmin } from "./admin-callers.ts";
import type { AdminTlsConfig } from "./admin-tls-config.ts";
import { formatHostPort, type IssuerConfig } from "./config.ts";
import type { Opened } from "./shutdown.ts";

/** How often the server's own SVID is looked at, beside each change of a rotation. */
const lookMs = 1000;

/** Serves it where the configuration says so. */
export async function openAdminTls(
  config: IssuerConfig,
  parts: Pick<AdminTlsParts, "admin" | "issuer" | "callers" | "log"> & {
    readonly opened: Opened[];
  },
): Promise<void> {
  const { tls } = config.admin;
  if (tls === undefined) return;
  const { issuer, opened, log } = parts;
  const rules: AdminRules = {
    trustDomain: config.trustDomain,
    bundle: () => issuer.bundle(),
    isOwnAuthority: (certificate) => issuer.authorities.isTrusted(certificate),
    entries: () => issuer.entries.list(),
    entryOf: (serial) => issuer.svids.showAll([serial])[0]?.entry || undefined,
    isRevoked: (serial) => issuer.svids.revoked().some((one) => one.serial === serial),
    clock: systemClock,
  };
  const listener = await serveAdminTls({ ...parts, tls, rules });
  opened.push({ name: "admin port", close: () => listener.close() });
  log.info({ adminTls: formatHostPort(listener) }, "the admin API is served over mutual TLS");
}

/** What the admin API is served over TLS with. */
export interface AdminTlsParts {
  readonly tls: AdminTlsConfig;
  /** The same server that the Unix socket has. */
  readonly admin: Server;
  readonly issuer: Issuer;
  readonly callers: TlsCallers<Operator>;
  readonly rules: AdminRules;
  readonly log: Log;
  /** Defaults to the system's. */
  readonly clock?: Clock;
  /** As `listenTls` takes them. */
  readonly handshakeMs?: number;
  readonly maxPerAddress?: number;
}

/**
 * Serves the admin API over mutual TLS: the issuer shows its own SVID, callers theirs.
 * @throws RpcError PORT_IN_USE, PORT_FAILED; IssuerError AUDIT_UNAVAILABLE, AUTHORITY_MISSING
 */
export async function serveAdminTls(parts: AdminTlsParts): Promise<TlsListener> {
  const { tls, admin, issuer, callers, rules, log, clock = systemClock } = parts;
  const first = await issuer.ownSvid.current(tls.dnsNames);
  const { handshakeMs = 5000, maxPerAddress = 32 } = parts;
  const listener = await listenTls({
    ...tls.listen,
    handshakeMs,
    maxPerAddress,
    server: admin,
    identity: pemOf(first.identity),
    callers,
    authenticate: (chain) => authenticateAdmin(chain, rules),
    authorise: (svid) => authoriseAdmin(svid, rules),
    refusal: (thrown) => refusalOf(thrown, log),
    log,
    clock,
  });
  const stop = keepFresh(parts, (identity) => listener.setIdentity(identity));
  return {
    ...listener,
    close: async (graceMs) => {
      stop();
      await listener.close(graceMs);
    },
  };
}

/** Keeps the server's SVID fresh; while that fails the one before is shown until it ends, and callers turn away by themselves. */
function keepFresh(parts: AdminTlsParts, show: (identity: TlsIdentity) => void): () => void {
  const { tls, issuer, log, clock = systemClock } = parts;
  let timer: Timer | undefined;
  let stopped = false;
  const look = async (): Promise<void> => {
    try {
      const { identity, fresh } = await issuer.ownSvid.current(tls.dnsNames);
      if (fresh) show(pemOf(identity));
    } catch (thrown) {
      log.warn({ reason: reasonOf(thrown) }, "the admin API's own SVID is not renewed yet");
    }
    if (!stopped) timer = clock.after(lookMs, () => void look());
  };
  timer = clock.after(lookMs, () => void look());
  return () => {
    stopped = true;
    timer?.cancel();
  };
}

function pemOf({ chain, privateKey }: ServerIdentity): TlsIdentity {
  return { cert: certificatesToPem(chain), key: toPem("PRIVATE KEY", privateKey) };
}

function refusalOf(thrown: unknown, log: Log): RefusedCall {
  const { code, details = "", metadata } = failure(thrown, log);
  return {
    code: code as status,
    details,
    ...(metadata === undefined ? {} : { metadata }),
  };
}
