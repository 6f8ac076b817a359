import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { ServiceError } from "@grpc/grpc-js";
import { initIssuer } from "../../../src/daemon/init.ts";
import { logged } from "../../../src/daemon/supervisor.ts";
import { dialUnix } from "../../../src/rpc/grpc-client.ts";
import { AuthorityServiceClient } from "../../../src/wire/herald/v1/authorities.ts";
import {
  type CreateEntryResponse,
  type Entry,
  EntryServiceClient,
  EntrySpec,
} from "../../../src/wire/herald/v1/entries.ts";
import {
  type CreateJoinTokenResponse,
  NodeServiceClient,
} from "../../../src/wire/herald/v1/nodes.ts";
import {
  type RevokeSvidsRequest,
  type RevokeSvidsResponse,
  SvidServiceClient,
} from "../../../src/wire/herald/v1/svids.ts";
import { natsServerPath } from "../../support/parts.ts";
import { Program, type ProgramOptions } from "./program.ts";
import { type SecretsEnvoy, startSecretsEnvoy } from "./secrets-envoy.ts";

/** A node daemon of a fleet. */
export interface FleetNode {
  readonly name: string;
  readonly socket: string;
  readonly program: Program;
}

/** The trust domain of every fleet here. */
export const trustDomain = "example.org";

const heraldMain = fileURLToPath(new URL("../../../src/cli/main.ts", import.meta.url));
const folders = new Set<string>();

/** For signals, when nothing can be awaited any more. */
export function removeFolders(): void {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
}

/** A temporary folder with a short path, since sockets lie in it. */
function makeFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "hb-"));
  folders.add(folder);
  return folder;
}

interface AdminClients {
  readonly authorities: AuthorityServiceClient;
  readonly entries: EntryServiceClient;
  readonly nodes: NodeServiceClient;
  readonly svids: SvidServiceClient;
}

/** nats-server, an issuer and node daemons, each a process of its own, as `herald dev` runs them; ended and removed on dispose. */
export class Fleet implements AsyncDisposable {
  readonly folder: string = makeFolder();
  readonly nodes: FleetNode[] = [];
  readonly #programs: Program[] = [];
  #admin: AdminClients | undefined;
  #issuerPrefix: readonly string[] = [];
  #issuer: Program | undefined;

  /** `issuerPrefix` is put before the issuer's command: `taskset` and its arguments. */
  static async start(
    nodes: readonly string[],
    issuerPrefix: readonly string[] = [],
  ): Promise<Fleet> {
    const fleet = new Fleet();
    fleet.#issuerPrefix = issuerPrefix;
    try {
      await fleet.#start(nodes);
    } catch (thrown) {
      await fleet[Symbol.asyncDispose]();
      throw thrown;
    }
    return fleet;
  }

  get issuerPid(): number {
    return this.issuer.pid;
  }

  get authorities(): AuthorityServiceClient {
    return this.#clients.authorities;
  }

  get entries(): EntryServiceClient {
    return this.#clients.entries;
  }

  get issuer(): Program {
    if (this.#issuer === undefined) throw new Error("the fleet has not started");
    return this.#issuer;
  }

  get #clients(): AdminClients {
    if (this.#admin === undefined) throw new Error("the fleet has not started");
    return this.#admin;
  }

  /** The node that is first, for benchmarks of one. */
  get node(): FleetNode {
    const [first] = this.nodes;
    if (first === undefined) throw new Error("the fleet has no node");
    return first;
  }

  /** Creates an entry for this user's processes on every node. */
  async createEntry(spiffeId: string): Promise<Entry> {
    const selectors = [`unix:uid:${process.getuid?.() ?? 0}`];
    const request = {
      entry: { ...EntrySpec.decode(new Uint8Array()), spiffeId, selectors },
      allow: [],
    };
    const { entry } = await answer<CreateEntryResponse>((done) =>
      this.#clients.entries.createEntry(request, done),
    );
    if (entry === undefined) throw new Error("the issuer did not say what it created");
    return entry;
  }

  /** A join string for a node of this name, and where to redeem it. */
  async joinToken(nodeName: string): Promise<CreateJoinTokenResponse> {
    const request = { nodeName, labels: new Map<string, string>(), replaces: false };
    return await answer((done) => this.#clients.nodes.createJoinToken(request, done));
  }

  /** Resolves with the issuer's answer: recorded, and in a CRL where nodes read it. */
  async revoke(serial: string): Promise<void> {
    const request: RevokeSvidsRequest = {
      target: { $case: "serial", value: serial },
      reason: "keyCompromise",
      authority: "",
      notAfter: 0n,
    };
    const { unenforced } = await answer<RevokeSvidsResponse>((done) =>
      this.#clients.svids.revokeSvids(request, done),
    );
    if (unenforced.length > 0) throw new Error("no CRL says so");
  }

  /** An Envoy at a node, which has asked for these SVIDs and the bundle when this resolves. */
  async addEnvoy(name: string, node: FleetNode, svids: readonly string[]): Promise<SecretsEnvoy> {
    const configFile = join(this.folder, `${name}.json`);
    const { socket } = node;
    const envoy = await startSecretsEnvoy({ name, socket, svids, bundle: "ROOTCA", configFile });
    this.#programs.push(envoy.program);
    await eventually(async () => (await envoy.openStreams()) > svids.length);
    return envoy;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { authorities, entries, nodes, svids } = this.#admin ?? {};
    for (const client of [authorities, entries, nodes, svids]) client?.close();
    for (const program of this.#programs.toReversed()) await program.stop();
    rmSync(this.folder, { recursive: true, force: true });
    folders.delete(this.folder);
  }

  async #start(nodes: readonly string[]): Promise<void> {
    const dir = join(this.folder, "issuer");
    await initIssuer({
      dir,
      trustDomain,
      natsHost: "127.0.0.1",
      natsPort: await freePort(),
      httpsListen: `127.0.0.1:${await freePort()}`,
      root: "online",
    });
    await this.#run({
      name: "nats-server",
      command: natsServerPath(),
      args: ["-c", join(dir, "nats", "nats-server.conf")],
      isReady: (text) => text.includes("Server is ready"),
    });
    this.#issuer = await this.#herald("issuer", join(dir, "issuer.yaml"), "issuer is ready");
    const dial = await dialUnix(`unix://${join(dir, "admin.sock")}`);
    const { target, credentials, options } = dial;
    this.#admin = {
      authorities: new AuthorityServiceClient(target, credentials, options),
      entries: new EntryServiceClient(target, credentials, options),
      nodes: new NodeServiceClient(target, credentials, options),
      svids: new SvidServiceClient(target, credentials, options),
    };
    for (const name of nodes) await this.#addNode(name);
  }

  async #addNode(name: string): Promise<void> {
    const folder = join(this.folder, name);
    await mkdir(folder, { mode: 0o700 });
    const { joinString, enrolmentUrl } = await this.joinToken(name);
    await writeFile(join(folder, "join"), joinString, { mode: 0o600 });
    await writeFile(
      join(folder, "node.yaml"),
      `trustDomain: ${trustDomain}
dir: state
name: ${name}
socket: s
issuerUrls: ["${enrolmentUrl}"]
joinFile: join
cacheKeyFile: cache.key
log: { level: debug }
`,
    );
    const config = join(folder, "node.yaml");
    const program = await this.#herald("node", config, "node follows the issuer");
    this.nodes.push({ name, socket: join(folder, "s"), program });
  }

  async #herald(verb: "issuer" | "node", config: string, message: string): Promise<Program> {
    const herald = [process.execPath, ...process.execArgv, heraldMain, verb, "--config", config];
    const [command = "", ...args] = verb === "issuer" ? [...this.#issuerPrefix, ...herald] : herald;
    return await this.#run({
      name: verb,
      command,
      args,
      isReady: (text) => logged(text, "msg") === message,
    });
  }

  async #run(options: ProgramOptions): Promise<Program> {
    const program = new Program(options);
    this.#programs.push(program);
    await program.start();
    return program;
  }
}

/** The answer to a unary call. */
async function answer<R>(
  call: (done: (error: ServiceError | null, response: R) => void) => unknown,
): Promise<R> {
  return await new Promise((resolve, reject) => {
    call((error, response) => (error === null ? resolve(response) : reject(error)));
  });
}

/** Looks every 20 ms until it holds. */
export async function eventually(holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error("it did not come to pass within 20 s");
    await sleep(20);
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  return typeof address === "object" && address !== null ? address.port : 0;
}
