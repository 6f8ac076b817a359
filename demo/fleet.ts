import { appendFile, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { initIssuer } from "../src/daemon/init.ts";
import { logged, Program } from "../src/daemon/supervisor.ts";
import { Admin } from "./admin.ts";
import { Envoy } from "./envoy.ts";
import type { Sidecar } from "./envoy-config.ts";
import { freePort } from "./ports.ts";
import { within } from "./within.ts";

export interface FleetOptions {
  /** Everything is written below it. Its path is short enough for sockets. */
  readonly folder: string;
  readonly natsServer: string;
  readonly envoy: string;
  readonly trustDomain?: string;
  /** More settings of the issuer, YAML. */
  readonly issuerYaml?: string;
}

/** A node daemon, the machine that it stands for, and where it logs. */
export interface FleetNode {
  readonly name: string;
  readonly spiffeId: string;
  readonly folder: string;
  readonly socket: string;
  readonly config: string;
  readonly log: string;
  readonly program: Program;
  /** Of `/metrics`, `/healthz` and `/readyz`, since the last start. */
  readonly http: { url: string };
}

/** An Envoy before it has a port and a socket: the fleet finds those. */
export interface EnvoyWish {
  readonly name: string;
  readonly node: FleetNode;
  readonly side: "client" | "server";
  readonly upstream: number;
  readonly allow?: readonly string[];
}

/** The CLI from source, for the Node that runs this. */
export const heraldMain: string = fileURLToPath(new URL("../src/cli/main.ts", import.meta.url));
const serviceMain = fileURLToPath(new URL("service.ts", import.meta.url));

/** How long a program may take to come up on a busy machine. */
const startWithinMs = 30_000;

/** NATS, an issuer, nodes, Envoys and a service, each a process of its own on the loopback address, all below one folder. */
export class Fleet {
  readonly folder: string;
  readonly trustDomain: string;
  readonly adminAddress: string;
  readonly issuerConfig: string;
  readonly nats: Program;
  readonly issuer: Program;
  readonly #options: FleetOptions;
  readonly #programs: Program[] = [];
  #enrolment = "";
  #closed = false;

  private constructor(options: FleetOptions) {
    this.#options = options;
    this.folder = options.folder;
    this.trustDomain = options.trustDomain ?? "example.org";
    const dir = join(this.folder, "issuer");
    this.adminAddress = `unix://${join(dir, "admin.sock")}`;
    this.issuerConfig = join(dir, "issuer.yaml");
    this.nats = this.#add({
      name: "nats-server",
      command: options.natsServer,
      args: ["-c", join(dir, "nats", "nats-server.conf")],
      isReady: (line) => line.includes("Server is ready"),
    });
    this.issuer = this.#addHerald(
      "issuer",
      ["issuer", "--config", this.issuerConfig],
      "issuer is ready",
    );
  }

  /** Makes a trust domain's keys and configurations; nothing runs yet. */
  static async create(options: FleetOptions): Promise<Fleet> {
    const fleet = new Fleet(options);
    await initIssuer({
      dir: join(fleet.folder, "issuer"),
      trustDomain: fleet.trustDomain,
      natsHost: "127.0.0.1",
      natsPort: await freePort(),
      httpsListen: `127.0.0.1:${await freePort()}`,
      root: "online",
    });
    await appendFile(fleet.issuerConfig, options.issuerYaml ?? "");
    return fleet;
  }

  /** A SPIFFE ID of this trust domain. */
  id(path: string): string {
    return `spiffe://${this.trustDomain}/${path}`;
  }

  logOf(name: string): string {
    return join(this.folder, "log", `${name}.log`);
  }

  async startNats(): Promise<void> {
    await this.#start("nats-server", this.nats);
  }

  async startIssuer(): Promise<void> {
    const line = await this.#start("the issuer", this.issuer);
    this.#enrolment = String(logged(line, "https"));
  }

  async admin<T>(run: (admin: Admin) => Promise<T>): Promise<T> {
    return await Admin.with(this.adminAddress, run);
  }

  /** Makes a node with a join string of its own; {@link Fleet.startNode} runs it. */
  async addNode(name: string): Promise<FleetNode> {
    const folder = join(this.folder, name);
    const socket = join(folder, "herald.sock");
    const config = join(folder, "node.yaml");
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await writeFile(join(folder, "join"), await this.admin((admin) => admin.joinString(name)), {
      mode: 0o600,
    });
    await writeFile(
      config,
      `trustDomain: ${this.trustDomain}
dir: state
name: ${name}
socket: herald.sock
issuerUrls: ["${this.#enrolment}"]
joinFile: join
cacheKeyFile: cache.key
`,
    );
    return {
      name,
      spiffeId: this.id(`herald/node/join_token/${name}`),
      folder,
      socket,
      config,
      log: this.logOf(name),
      program: this.#addHerald(name, ["node", "--config", config], "node answers on its socket"),
      http: { url: "" },
    };
  }

  /** Resolves when its socket answers; it may not be enrolled yet. */
  async startNode(node: FleetNode): Promise<void> {
    node.http.url = String(logged(await this.#start(node.name, node.program), "metrics"));
  }

  /** Has the node read its state since its last start, and every SVID that belongs on it? */
  async isWell(node: FleetNode): Promise<boolean> {
    return (await fetch(`${node.http.url}/healthz`)).ok;
  }

  async addEnvoy(wish: EnvoyWish): Promise<Envoy> {
    this.#refuseWhenClosed();
    const { name, node, side, upstream } = wish;
    const sidecar: Sidecar & { readonly nodeLog: string } = {
      name,
      side,
      upstream,
      trustDomain: this.trustDomain,
      socket: node.socket,
      spiffeId: this.id(name),
      allow: wish.allow ?? [],
      listen: await freePort(),
      nodeLog: node.log,
    };
    const envoy = await Envoy.prepare(sidecar, {
      folder: this.folder,
      command: this.#options.envoy,
    });
    this.#programs.push(envoy.program);
    return envoy;
  }

  /** Runs the service that tells who called. Resolves with its port. */
  async startService(): Promise<number> {
    const port = await freePort();
    const service = this.#add({
      name: "service",
      command: process.execPath,
      args: [serviceMain, String(port)],
      isReady: (line) => line === "service is ready",
    });
    await this.#start("the service", service);
    return port;
  }

  /** Ends every process, the youngest first. What is started afterwards is refused. */
  async close(): Promise<void> {
    this.#closed = true;
    const [envoys, others] = [this.#programs.slice(2), this.#programs.slice(0, 2)];
    await Promise.all(envoys.map((program) => program.stop()));
    for (const program of others.toReversed()) await program.stop();
  }

  async #start(what: string, program: Program): Promise<string> {
    this.#refuseWhenClosed();
    return await within(startWithinMs, `${what} serves`, program.start());
  }

  #refuseWhenClosed(): void {
    if (this.#closed) throw new Error("the fleet is closed");
  }

  /** One of Herald's daemons, by the Node that runs this. */
  #addHerald(name: string, args: readonly string[], readyMessage: string): Program {
    return this.#add({
      name,
      command: process.execPath,
      args: [heraldMain, ...args],
      isReady: (line) => logged(line, "msg") === readyMessage,
    });
  }

  #add(options: Omit<ConstructorParameters<typeof Program>[0], "logFile" | "restart">): Program {
    const program = new Program({ ...options, logFile: this.logOf(options.name), restart: false });
    this.#programs.push(program);
    return program;
  }
}
