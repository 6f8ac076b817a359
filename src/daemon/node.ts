import { randomBytes } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { accountFiles, procCredentials } from "../attest/adapters/linux-accounts.ts";
import { attestPeer, type PeerProcess } from "../attest/attestation.ts";
import { unixSelectors } from "../attest/unix-selectors.ts";
import type { WorkloadView } from "../core/svid/workload-view.ts";
import { nodeKeyMaker } from "../core/x509/key-pair.ts";
import { connectBus } from "../events/adapters/connection.ts";
import { createNodeBus } from "../events/adapters/node-bus.ts";
import type { NodeBus } from "../events/bus.ts";
import { EventsError } from "../events/error.ts";
import { nodeInboxPrefix } from "../events/subjects.ts";
import {
  ConsumerFile,
  EnvelopeFile,
  linuxProcesses,
  noCache,
  SvidFolder,
} from "../identity/adapters/files.ts";
import { IdentityError } from "../identity/error.ts";
import type { NodeIdentity } from "../identity/node-identity.ts";
import type { SvidCache } from "../identity/ports.ts";
import { readIfThere, writeDurably } from "../kit/adapters/durable-file.ts";
import { sealingKey } from "../kit/adapters/sealed-file.ts";
import { exponentialBackoff } from "../kit/backoff.ts";
import { pause, systemClock } from "../kit/clock.ts";
import { reasonOf } from "../kit/errors.ts";
import type { Log } from "../kit/log.ts";
import { systemRandom } from "../kit/random.ts";
import { peerOf } from "../rpc/call-peer.ts";
import { createGrpcServer } from "../rpc/grpc-server.ts";
import { linuxPeerReader } from "../rpc/linux-peer.ts";
import { listenUnix, type UnixListener } from "../rpc/unix-server.ts";
import { sdsHandlers, sdsService } from "../sds/adapters/grpc.ts";
import { secretCatalog } from "../sds/secrets.ts";
import { servableCheck } from "../sds/servable.ts";
import { workloadApiHandlers, workloadApiService } from "../workload-api/adapters/grpc.ts";
import { svidCheck } from "../workload-api/servable.ts";
import { loadNodeConfig, type NodeConfig } from "./config.ts";
import { consumerLogs } from "./consumer-logs.ts";
import { pinoLog } from "./logging.ts";
import { identityOf } from "./node-enrolment.ts";
import { serveHealth } from "./node-health.ts";
import { NodeService } from "./node-service.ts";
import { PrometheusMetrics } from "./prometheus.ts";
import type { RunningNode } from "./running-node.ts";
import { closeAll, untilStopped } from "./shutdown.ts";
import { ViewHub } from "./view-hub.ts";

/** Runs a node daemon until SIGTERM or SIGINT. Resolves with the exit code; failures to start are thrown, for the CLI to print. */
export async function runNode(options: {
  readonly configPath: string;
  readonly joinString?: string;
}): Promise<number> {
  const config = loadNodeConfig(options.configPath);
  const log = pinoLog({ level: config.log.level, name: "herald-node" });
  const running: RunningNode = {
    config,
    log,
    metrics: new PrometheusMetrics(),
    hub: new ViewHub(config.trustDomain),
    stop: new AbortController(),
    opened: [],
  };
  const stopped = untilStopped(log);
  try {
    const listener = await serveSocket(running);
    const http = await serveHealth(running, listener);
    log.info({ socket: `unix://${config.socket}`, metrics: http }, "node answers on its socket");
    // What follows may wait for the network, and a signal ends the wait.
    const service = startService(running, { joinString: options.joinString, metricsUrl: http });
    await Promise.race([stopped, service.then(() => stopped)]);
    return 0;
  } finally {
    running.stop.abort();
    await closeAll(running.opened, log);
  }
}

/** A little more than an SVID takes on a busy day; a client's own deadline may be shorter. */
const firstSvidPatienceMs = 5000;

/** The socket answers at once, before the first identity is there: callers are told "not yet" and stay (issue: plaintext HTTP/2 at once). */
async function serveSocket(running: RunningNode): Promise<UnixListener> {
  const { config, log, hub, stop } = running;
  const server = createGrpcServer();
  const sources = [unixSelectors({ names: accountFiles(), processes: procCredentials() })];
  const views = {
    async watch(caller: object, onChange: (view: WorkloadView) => void) {
      const peer = processOf(caller);
      return hub.watch(await attestPeer(peer, sources), onChange, peer.pid);
    },
  };
  const { sds, clients } = consumerLogs(hub, log, running.metrics);
  const versionKey = await persistentKey(join(config.dir, "version.key"));
  const { defaultSvidName, defaultBundleName, defaultAllBundlesName, disableSpiffeCertValidation } =
    config.sds;
  const secrets = secretCatalog({
    versionKey,
    names: { svid: defaultSvidName, bundle: defaultBundleName, allBundles: defaultAllBundlesName },
    check: servableCheck(systemClock, { ...config.revocation, log, metrics: running.metrics }),
  });
  const common = { callerOf: peerOf, views, clock: systemClock, log, signal: stop.signal };
  server.addService(
    sdsService,
    sdsHandlers({
      ...common,
      secrets,
      consumers: sds,
      rules: { disableSpiffeValidation: disableSpiffeCertValidation },
    }),
  );
  server.addService(
    workloadApiService,
    workloadApiHandlers({
      ...common,
      patienceMs: firstSvidPatienceMs,
      clients,
      check: svidCheck(systemClock),
    }),
  );
  await mkdir(dirname(config.socket), { recursive: true, mode: 0o755 });
  const listener = await listenUnix({
    path: config.socket,
    mode: config.socketMode,
    server,
    peers: linuxPeerReader(),
    log,
  });
  running.opened.push({ name: "socket", close: () => listener.close() });
  return listener;
}

/** The services hand back the caller that they were given, which is rpc's peer; anything else gets nothing. */
function processOf(caller: object): PeerProcess {
  if (!("uid" in caller && "gid" in caller && "pid" in caller && "isAlive" in caller))
    throw new IdentityError("CALLER_UNKNOWN", "the caller was not told by the kernel");
  return caller as PeerProcess;
}

async function startService(
  running: RunningNode,
  {
    joinString,
    metricsUrl,
  }: { readonly joinString: string | undefined; readonly metricsUrl: string },
): Promise<void> {
  const { config, log, hub, opened, metrics } = running;
  const { identity, state, trust, client } = await identityOf(running, joinString);
  const connected: { bus?: NodeBus } = {};
  const service = new NodeService({
    trust,
    identity,
    client,
    bus: lateBus(connected),
    viewStore: new EnvelopeFile(join(config.dir, "state")),
    cache: await svidCache(config, log),
    consumerStore: new ConsumerFile(join(config.dir, "consumers.json")),
    processes: linuxProcesses,
    keys: nodeKeyMaker,
    staleCrls: config.revocation.stale,
    clock: systemClock,
    random: systemRandom,
    log,
    metrics,
  });
  opened.push({ name: "node", close: () => service.stop() });
  await service.resume(state);
  hub.attach(service);
  const bus = await connectPatiently(running, identity, service);
  if (bus === undefined) return;
  connected.bus = bus;
  opened.push({ name: "bus", close: () => bus.close() });
  await service.start();
  log.info({ node: identity.id }, "node follows the issuer");
  void service.whenSynced.then(() =>
    log.info({ node: identity.id, metrics: metricsUrl }, "node is in step with the issuer"),
  );
}

/** A node serves what it has while the broker is away, so it goes on trying. Undefined when the daemon stops first. */
async function connectPatiently(
  running: RunningNode,
  identity: NodeIdentity,
  service: NodeService,
): Promise<NodeBus | undefined> {
  const { config, log, stop } = running;
  const backoff = exponentialBackoff({ baseMs: 100, maxMs: 2000, random: systemRandom });
  while (!stop.signal.aborted) {
    try {
      const connection = await connectBus({
        servers: identity.kept.bus.servers,
        nkeySeed: Buffer.from(identity.kept.busSeed).toString("utf8"),
        pins: () => [...new Set([...identity.kept.bus.brokerPins, ...service.brokerPins])],
        onStatus: (status) => {
          if (status.state === "failing") void service.onBusFailing(status.error.code);
        },
        name: identity.id,
        inboxPrefix: nodeInboxPrefix(identity.token),
        clock: systemClock,
        random: systemRandom,
        log,
      });
      return createNodeBus({ connection, node: identity.token, trustDomain: config.trustDomain });
    } catch (thrown) {
      if (thrown instanceof EventsError) await service.onBusFailing(thrown.code);
      log.warn(
        { reason: reasonOf(thrown) },
        "NATS is not to be had; serving what is cached and trying again",
      );
      await pause(systemClock, backoff.next(), stop.signal);
    }
  }
  return undefined;
}

/** The bus of a node that is not connected yet: everything it is asked fails, as with a bus that is away. */
function lateBus(connected: {
  readonly bus?: NodeBus;
}): Pick<NodeBus, "read" | "subscribe" | "request"> {
  const bus = (): NodeBus => {
    if (connected.bus === undefined)
      throw new IdentityError("NO_ANSWER", "NATS is not connected yet");
    return connected.bus;
  };
  return {
    read: async (key) => await bus().read(key),
    subscribe: async (listener) => await bus().subscribe(listener),
    request: async (kind, bytes, limits) => await bus().request(kind, bytes, limits),
  };
}

async function svidCache(config: NodeConfig, log: Log): Promise<SvidCache> {
  const folder = join(config.dir, "svids");
  switch (config.cache) {
    case "off":
      return noCache;
    case "plain":
      return new SvidFolder({ folder, sealingKey: undefined, log });
    case "sealed":
      return new SvidFolder({ folder, sealingKey: await sealingKey(config.cacheKeyFile), log });
  }
}

async function persistentKey(path: string): Promise<Buffer> {
  const known = await readIfThere(path);
  if (known !== undefined) return known;
  const made = randomBytes(32);
  await writeDurably(path, made);
  return made;
}
