import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  watch,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type BusConnection,
  type ConnectBusOptions,
  connectBus,
} from "../../src/events/adapters/connection.ts";
import { createIssuerBus, type IssuerBusOptions } from "../../src/events/adapters/issuer-bus.ts";
import { makeNkeys, type Nkeys } from "../../src/events/adapters/nkeys.ts";
import { createNodeBus } from "../../src/events/adapters/node-bus.ts";
import { natsServerConfig } from "../../src/events/adapters/server-config.ts";
import type { IssuerBus, NodeBus } from "../../src/events/bus.ts";
import { issuerInboxPrefix, nodeInboxPrefix } from "../../src/events/subjects.ts";
import { systemClock } from "../../src/kit/clock.ts";
import { silentLog } from "../../src/kit/log.ts";
import { systemRandom } from "../../src/kit/random.ts";
import { type BrokerIdentity, makeBrokerIdentity } from "./broker-identity.ts";
import { natsServerPath } from "./parts.ts";

/** The trust domain of buses made here. */
export const testTrustDomain = "example.org";

/** A real nats-server with Herald's configuration, in a temporary folder of its own. */
export class TestNatsServer {
  readonly issuerKeys: Nkeys = makeNkeys();
  readonly nodeKeys: Nkeys = makeNkeys();
  readonly folder: string = mkdtempSync(join(tmpdir(), "herald-nats-"));
  identity: BrokerIdentity;
  /** Learned at the first start, kept over restarts. */
  port = -1;
  #process: ChildProcess | undefined;
  readonly #closers: (() => Promise<void>)[] = [];

  private constructor(identity: BrokerIdentity) {
    this.identity = identity;
  }

  static async start(): Promise<TestNatsServer> {
    const server = new TestNatsServer(await makeBrokerIdentity());
    await server.up();
    return server;
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** Starts the process, at the port it had before. Resolves when it listens. */
  async up(): Promise<void> {
    const file = (name: string): string => join(this.folder, name);
    writeFileSync(file("cert.pem"), this.identity.certificatePem);
    writeFileSync(file("key.pem"), this.identity.keyPem, { mode: 0o600 });
    const config = natsServerConfig({
      host: "127.0.0.1",
      port: this.port,
      storeDir: file("jetstream"),
      serverName: "test",
      tlsCertFile: file("cert.pem"),
      tlsKeyFile: file("key.pem"),
      issuerPublicNkey: this.issuerKeys.publicKey,
      nodePublicNkey: this.nodeKeys.publicKey,
      portsFileDir: this.folder,
      maxFileStore: 64 * 2 ** 30,
    });
    writeFileSync(file("nats-server.conf"), config);
    const child = spawn(natsServerPath(), ["-c", file("nats-server.conf"), "-l", file("log")], {
      stdio: "ignore",
    });
    this.#process = child;
    const exited = once(child, "exit");
    const ports = portsOf(this.folder, child.pid ?? 0);
    const port = await Promise.race([ports, exited.then(() => undefined)]);
    if (port === undefined) throw new Error(`nats-server ended: ${this.log()}`);
    this.port = port;
  }

  log(): string {
    return existsSync(join(this.folder, "log"))
      ? readFileSync(join(this.folder, "log"), "utf8")
      : "";
  }

  /** Ends the process with a signal, SIGKILL unless told. Resolves when it is gone. */
  async down(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (child === undefined || child.exitCode !== null) return;
    const exited = once(child, "exit");
    child.kill(signal);
    await exited;
  }

  /** Ends the process, every bus that was made here, and the folder. */
  async close(): Promise<void> {
    for (const closer of this.#closers.splice(0)) await closer();
    await this.down();
    rmSync(this.folder, { recursive: true, force: true });
  }

  async connect(
    options: Partial<ConnectBusOptions> & { readonly nkeySeed: string },
  ): Promise<BusConnection> {
    const connection = await connectBus({
      servers: [this.address],
      pins: () => [this.identity.pin],
      name: "test",
      clock: systemClock,
      random: systemRandom,
      log: silentLog,
      ...options,
    });
    this.#closers.push(() => connection.close());
    return connection;
  }

  connectIssuer(options: Partial<ConnectBusOptions> = {}): Promise<BusConnection> {
    return this.connect({
      nkeySeed: this.issuerKeys.seed,
      inboxPrefix: issuerInboxPrefix,
      ...options,
    });
  }

  connectNode(node: string, options: Partial<ConnectBusOptions> = {}): Promise<BusConnection> {
    return this.connect({
      nkeySeed: this.nodeKeys.seed,
      inboxPrefix: nodeInboxPrefix(node),
      ...options,
    });
  }

  /** An issuer's bus; the streams must be made by `ensure`. */
  async issuer(options: Partial<IssuerBusOptions> = {}): Promise<IssuerBus> {
    const connection = await this.connectIssuer();
    return createIssuerBus({
      connection,
      trustDomain: testTrustDomain,
      clock: systemClock,
      log: silentLog,
      ...options,
    });
  }

  async node(node: string): Promise<NodeBus> {
    const connection = await this.connectNode(node);
    return createNodeBus({ connection, node, trustDomain: testTrustDomain });
  }
}

// The server writes `nats-server_<pid>.ports` once it listens.
function portsOf(folder: string, pid: number): Promise<number> {
  return new Promise((resolve) => {
    const look = (): void => {
      const name = readdirSync(folder).find((entry) => entry.endsWith(`_${pid}.ports`));
      if (name === undefined) return;
      const text = readFileSync(join(folder, name), "utf8");
      const port = /:(\d+)"/.exec(text)?.[1];
      if (port === undefined) return; // not written to its end yet
      watcher.close();
      resolve(Number(port));
    };
    const watcher = watch(folder, look);
    look();
  });
}
