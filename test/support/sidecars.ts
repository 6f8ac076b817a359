import { mkdtempSync, rmSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { call } from "../../demo/calls.ts";
import { freePort } from "../../demo/ports.ts";
import { type EnvoyBootstrapOptions, envoyBootstrap } from "../../src/cli/envoy-bootstrap.ts";
import { parseTrustDomain } from "../../src/core/spiffe/spiffe-id.ts";
import { Program } from "../../src/daemon/supervisor.ts";

const serviceMain = join(import.meta.dirname, "../../demo/service.ts");
const local = (port: number): { readonly host: string; readonly port: number } => ({
  host: "127.0.0.1",
  port,
});

/** A sidecar, before it has a port. */
export interface MeshEnvoy {
  readonly name: string;
  /** SPIFFE ID that it asks for. */
  readonly id: string;
  /** A server has the port of its application behind it, a client that of another sidecar's. */
  readonly side: "server" | "client";
  readonly to: number;
  readonly maxConnectionSeconds?: number;
  /** A client's: 1 makes a handshake for each. Default: as many as come. */
  readonly requestsPerConnection?: number;
}

/** Envoys from generated bootstraps and the service behind them, all at one SDS socket; ended on dispose. */
export class Sidecars implements AsyncDisposable {
  readonly #folder: string = mkdtempSync(join(tmpdir(), "herald-mesh-"));
  readonly #programs: Program[] = [];
  readonly #at: { readonly envoy: string; readonly socket: string };

  /** The path of Envoy, and of the SDS server's socket. */
  constructor(at: { readonly envoy: string; readonly socket: string }) {
    this.#at = at;
  }

  /** The HTTP service that tells who called. Resolves with its port. */
  async startService(): Promise<number> {
    const port = await freePort();
    await this.#run("service", process.execPath, {
      args: [serviceMain, String(port)],
      isReady: (line) => line === "service is ready",
    });
    return port;
  }

  /** Resolves with the port on which it listens, when it does. */
  async startEnvoy(wish: MeshEnvoy): Promise<number> {
    const port = await freePort();
    const file = join(this.#folder, `${wish.name}.json`);
    const { envoy, socket } = this.#at;
    await writeFile(file, JSON.stringify(configOf(wish, { port, socket }), perConnection(wish)));
    await this.#run(wish.name, envoy, {
      args: ["-c", file, "--disable-hot-restart", "--concurrency", "1"],
      // It waits for its secrets before.
      isReady: (line) => line.includes("starting workers"),
    });
    return port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const program of this.#programs.toReversed()) await program.stop("SIGKILL");
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #run(
    name: string,
    command: string,
    options: { readonly args: readonly string[]; readonly isReady: (line: string) => boolean },
  ): Promise<void> {
    const logFile = join(this.#folder, `${name}.log`);
    const program = new Program({ name, command, logFile, restart: false, ...options });
    this.#programs.push(program);
    await program.start();
  }
}

/** The status of a request through a client's Envoy: 200 when the other side let it in. */
export async function statusOf(port: number): Promise<number> {
  return (await call(port)).status;
}

function configOf(
  { id, side, to, maxConnectionSeconds }: MeshEnvoy,
  { port, socket }: { readonly port: number; readonly socket: string },
): object {
  const common: EnvoyBootstrapOptions = {
    trustDomain: parseTrustDomain("example.org"),
    svidName: id,
    socket,
    apiType: "grpc",
    ...(maxConnectionSeconds === undefined ? {} : { maxConnectionSeconds }),
  };
  const context = "ROOTCA";
  return envoyBootstrap(
    side === "server"
      ? {
          ...common,
          inbound: { listen: local(port), app: local(to), context, allowCallers: [] },
        }
      : { ...common, egress: { listen: local(port), to: local(to), context } },
  );
}

/** For JSON.stringify: what a generated bootstrap has no switch for. */
function perConnection({ requestsPerConnection: most }: MeshEnvoy) {
  return (_key: string, value: unknown): unknown =>
    most !== undefined && typeof value === "object" && value !== null && "auto_config" in value
      ? { ...value, common_http_protocol_options: { max_requests_per_connection: most } }
      : value;
}
