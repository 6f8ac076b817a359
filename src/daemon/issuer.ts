import { mkdir, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Operator } from "../core/envelope/audit-payloads.ts";
import { type BusConnection, connectBus } from "../events/adapters/connection.ts";
import { createIssuerBus } from "../events/adapters/issuer-bus.ts";
import type { IssuerBus } from "../events/bus.ts";
import { issuerInboxPrefix } from "../events/subjects.ts";
import { FileJournal } from "../issuer/adapters/file-journal.ts";
import { IssuerError } from "../issuer/error.ts";
import { Issuer } from "../issuer/issuer.ts";
import { exponentialBackoff } from "../kit/backoff.ts";
import { pause, systemClock } from "../kit/clock.ts";
import { reasonOf } from "../kit/errors.ts";
import type { Log } from "../kit/log.ts";
import { systemRandom } from "../kit/random.ts";
import { createGrpcServer } from "../rpc/grpc-server.ts";
import { type HttpRoutes, serveHttp } from "../rpc/http.ts";
import { linuxPeerReader } from "../rpc/linux-peer.ts";
import { lockPath } from "../rpc/path-lock.ts";
import { TlsCallers } from "../rpc/tls-callers.ts";
import { listenUnix } from "../rpc/unix-server.ts";
import { answersOf } from "./answers-of.ts";
import { loadAttestors } from "./attestors-config.ts";
import { auditHistory } from "./audit-history.ts";
import { openWitnesses } from "./audit-witnesses.ts";
import { openAuthorityKeys } from "./authority-keys.ts";
import { type IssuerConfig, loadIssuerConfig } from "./config.ts";
import { type ControlKeys, openControlKeys, StateFolderError, stateFiles } from "./control-keys.ts";
import { keepCertified } from "./control-renewal.ts";
import { listenForEnrolment } from "./enrolment-endpoint.ts";
import { healthRoutes } from "./health.ts";
import { letHeapGrow } from "./heap-growth.ts";
import { pinoLog } from "./logging.ts";
import { PrometheusMetrics } from "./prometheus.ts";
import { serveAdmin } from "./serve-admin.ts";
import { openAdminTls } from "./serve-admin-tls.ts";
import { closeAll, type Opened, untilStopped } from "./shutdown.ts";
import { openUpstream } from "./upstream.ts";

/** JetStream reserves this for events at once, so it must fit on a small disk; a week of them is far less. */
const eventsMaxBytes = 1024 ** 3;

/** Runs an issuer until SIGTERM or SIGINT. Resolves with the exit code; failures to start are thrown, for the CLI to print. */
export async function runIssuer(options: { readonly configPath: string }): Promise<number> {
  const config = loadIssuerConfig(options.configPath);
  const log = pinoLog({ level: config.log.level, name: "herald-issuer" });
  const opened: Opened[] = [];
  const stopped = untilStopped(log);
  try {
    const gaveUp = Promise.withResolvers<never>();
    await startIssuer(config, { log, opened, giveUp: gaveUp.reject });
    await Promise.race([stopped, gaveUp.promise]);
    return 0;
  } finally {
    await closeAll(opened, log);
  }
}

interface Starting {
  readonly log: Log;
  readonly opened: Opened[];
  /** Ends the daemon with a failure. */
  readonly giveUp: (reason: unknown) => void;
}

async function startIssuer(config: IssuerConfig, { log, opened, giveUp }: Starting): Promise<void> {
  letHeapGrow();
  const metrics = new PrometheusMetrics();
  const control = await openControlKeys(config.dir, config.trustDomain, {
    clock: systemClock,
    log,
    sealing: config.keys.sealingKey,
  });
  const lock = await lockPath(join(config.dir, stateFiles.journal));
  if (lock === undefined) {
    throw new StateFolderError(
      "IN_USE",
      `another issuer runs on ${config.dir}; stop it, or give this one a folder of its own`,
    );
  }
  opened.push({ name: "lock", close: () => lock.release() });
  const admin = createGrpcServer();
  await mkdir(dirname(config.admin.socket), { recursive: true, mode: 0o755 });
  const adminSocket = await listenUnix({
    path: config.admin.socket,
    mode: 0o777,
    server: admin,
    peers: linuxPeerReader(),
    log,
  });
  opened.push({ name: "admin socket", close: () => adminSocket.close() });

  const connection = await connect(config, log);
  const bus = createIssuerBus({
    connection,
    trustDomain: config.trustDomain,
    clock: systemClock,
    log,
    streams: { eventsMaxBytes },
  });
  opened.push({ name: "bus", close: () => bus.close() });
  for (const drift of await bus.ensure())
    log.warn({ ...drift }, "a stream is not set up as Herald wants it");

  const https = await listenForEnrolment(config, log);
  opened.push({ name: "enrolment endpoint", close: () => https.close() });
  const issuer = await openIssuer({
    giveUp,
    config,
    control,
    bus,
    enrolment: https.url,
    metrics,
    log,
    opened,
  });
  https.serve({
    enrol: (bytes) => issuer.reception.enrol(bytes),
    renew: (bytes) => issuer.reception.renewByHttps(bytes),
  });

  opened.push({ name: "certificate", close: keepCertified({ control, issuer, log, giveUp }) });
  const service = await bus.serve(answersOf(issuer));
  opened.push({ name: "request service", close: () => service.close() });
  opened.push({ name: "bus watch", close: watchBus({ connection, bus, issuer, log, giveUp }) });
  const callers = new TlsCallers<Operator>();
  serveAdmin({ admin, issuer, bus, control, config, enrolmentUrl: https.url, callers, log });
  await openAdminTls(config, { admin, issuer, callers, log, opened });
  const http = await serveHttp({
    ...config.http.listen,
    log,
    routes: issuerHealth({ issuer, bus, metrics }),
  });
  opened.push({ name: "metrics", close: () => http.close() });
  log.info(
    {
      trustDomain: config.trustDomain,
      issuer: control.issuer,
      admin: config.admin.socket,
      https: https.url,
      metrics: http.url,
      pin: control.trust.pin,
    },
    "issuer is ready",
  );
}

async function openIssuer(parts: {
  readonly config: IssuerConfig;
  readonly control: ControlKeys;
  readonly bus: IssuerBus;
  readonly enrolment: string;
  readonly metrics: PrometheusMetrics;
  readonly log: Log;
  readonly opened: Opened[];
  readonly giveUp: (reason: unknown) => void;
}): Promise<Issuer> {
  const { config, control, bus, metrics, log } = parts;
  const journal = new FileJournal(join(config.dir, stateFiles.journal), parts.giveUp);
  parts.opened.push({ name: "journal", close: () => journal.close() });
  const issuer = await Issuer.start({
    ...control,
    keys: await openAuthorityKeys(config, control.keys, parts.opened),
    upstream: await openUpstream(config, log),
    trustDomain: config.trustDomain,
    bus: { servers: config.nats.servers, brokerPins: config.nats.pins },
    busSeed: Buffer.from((await readFile(config.nats.nodeSeedFile, "utf8")).trim()),
    settings: {
      headIntervalMs: config.headIntervalMs,
      nodeTtlSeconds: config.nodeTtlSeconds,
      defaultTtlSeconds: config.x509TtlSeconds,
      maxTtlSeconds: config.maxX509TtlSeconds,
      authorityLifetimeMs: config.authorityLifetimeMs,
      lostAfterMs: config.lostAfterMs,
      ...config.revocation,
    },
    attestors: await loadAttestors(config.attestors),
    admission: config.admission.nodes,
    journal,
    store: bus,
    broadcast: {
      broadcastHead(bytes) {
        bus
          .broadcastHead(config.trustDomain, bytes)
          .catch((thrown: unknown) =>
            log.debug({ reason: reasonOf(thrown) }, "a head was not sent; the next one follows"),
          );
      },
    },
    auditStream: bus,
    auditHistory: auditHistory(bus),
    auditReader: bus,
    witnesses: await openWitnesses(config.audit, parts),
    eventStream: bus,
    clock: systemClock,
    random: systemRandom,
    log,
    metrics,
  });
  parts.opened.push({ name: "issuer", close: () => issuer.stop() });
  return issuer;
}

async function connect(config: IssuerConfig, log: Log): Promise<BusConnection> {
  return await connectBus({
    servers: config.nats.servers,
    nkeySeed: (await readFile(config.nats.seedFile, "utf8")).trim(),
    pins: () => config.nats.pins,
    name: "herald-issuer",
    inboxPrefix: issuerInboxPrefix,
    clock: systemClock,
    random: systemRandom,
    log,
  });
}

/** After each outage of the broker: what it lost is put back. Gives up, for a supervisor to start anew, where only the start-up path can. */
function watchBus(parts: {
  readonly connection: BusConnection;
  readonly bus: IssuerBus;
  readonly issuer: Issuer;
  readonly log: Log;
  readonly giveUp: (reason: unknown) => void;
}): () => void {
  const { connection, bus, issuer, log, giveUp } = parts;
  let wasLost = false;
  const bringUpToDate = async (): Promise<void> => {
    const backoff = exponentialBackoff({ baseMs: 500, maxMs: 10_000, random: systemRandom });
    while (!wasLost) {
      try {
        await bus.ensure();
        await issuer.onBusBack();
        return;
      } catch (thrown) {
        if (thrown instanceof IssuerError && thrown.code === "AUDIT_BEHIND") {
          giveUp(thrown);
          return;
        }
        log.warn(
          { reason: reasonOf(thrown) },
          "could not bring the store up to date; trying again",
        );
        await pause(systemClock, backoff.next());
      }
    }
  };
  return connection.observe({
    onDisconnected() {
      wasLost = true;
      log.error(
        { alarm: "bus-away" },
        "NATS is away: nodes serve what they have, nothing new is signed; `herald doctor` says what is missing",
      );
    },
    onConnected() {
      if (!wasLost) return;
      wasLost = false;
      log.info({}, "NATS is back");
      void bringUpToDate();
    },
  });
}

function issuerHealth(parts: {
  readonly issuer: Issuer;
  readonly bus: IssuerBus;
  readonly metrics: PrometheusMetrics;
}): HttpRoutes {
  const { issuer, bus, metrics } = parts;
  const check = () => {
    const { fenced, pending, nodes, entries } = issuer.status();
    const problems = [
      ...(fenced ? ["another issuer leads with a higher term"] : []),
      ...(bus.connected() ? [] : ["NATS is away"]),
      ...(pending > 0 ? [`${pending} objects are not yet where nodes read them`] : []),
    ];
    return { problems, detail: { nodes, entries } };
  };
  const refresh = (): void => {
    const { nodes, entries } = issuer.status();
    metrics.set("herald_issuer_nodes", nodes);
    metrics.set("herald_issuer_entries", entries);
  };
  return healthRoutes({ metrics, refresh, health: check, ready: check });
}
