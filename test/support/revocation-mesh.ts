import { mkdtempSync, rmSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { call } from "../../demo/calls.ts";
import { freePort } from "../../demo/ports.ts";
import { type EnvoyBootstrapOptions, envoyBootstrap } from "../../src/cli/envoy-bootstrap.ts";
import { parseTrustDomain } from "../../src/core/spiffe/spiffe-id.ts";
import type { WorkloadView, X509Svid } from "../../src/core/svid/workload-view.ts";
import { Program } from "../../src/daemon/supervisor.ts";
import { systemClock } from "../../src/kit/clock.ts";
import { servableCheck } from "../../src/sds/servable.ts";
import { type Rig, rig } from "../sds/support/server.ts";
import { catalog, view } from "../sds/support/views.ts";
import { hour, makeAuthority, makeBundle } from "./ca-world.ts";
import { makeCrl } from "./crl-world.ts";
import { present, presentDates, presentSvid } from "./trial-envoy.ts";

const serviceMain = join(import.meta.dirname, "../../demo/service.ts");
const local = (port: number): { readonly host: string; readonly port: number } => ({
  host: "127.0.0.1",
  port,
});

/** A sidecar of the mesh. */
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

/** Envoys with mutual TLS, whose secrets come from Herald's SDS server; what it serves is in the test's hands. */
export class RevocationMesh implements AsyncDisposable {
  readonly folder: string = mkdtempSync(join(tmpdir(), "herald-mesh-"));
  readonly #envoy: string;
  readonly #programs: Program[] = [];
  readonly #root = makeAuthority(presentDates);
  readonly #revoked: string[] = [];
  #numbers = 0n;
  #rig: Rig | undefined;
  #view: WorkloadView;

  private constructor(envoy: string, paths: readonly string[]) {
    this.#envoy = envoy;
    const svids = paths.map((path) =>
      presentSvid([this.#root], { id: `spiffe://example.org/${path}` }),
    );
    this.#view = view({ svids, bundles: [makeBundle("example.org", [this.#root])] });
  }

  /** `paths`: of the SPIFFE IDs that there are. */
  static async start(envoy: string, paths: readonly string[]): Promise<RevocationMesh> {
    const mesh = new RevocationMesh(envoy, paths);
    const secrets = catalog({ check: servableCheck(systemClock) });
    mesh.#rig = await rig(mesh.#view, { secrets });
    return mesh;
  }

  svid(path: string): X509Svid {
    const svid = this.#view.svids.find((one) => one.id === `spiffe://example.org/${path}`);
    if (svid === undefined) throw new Error(`there is no ${path}`);
    return svid;
  }

  /** What `svid revoke` leads to at a node: a new CRL of the authority is pushed. */
  async revoke(serial: string): Promise<void> {
    this.#revoked.push(serial);
    this.#numbers += 1n;
    const crl = makeCrl(this.#root, {
      number: this.#numbers,
      thisUpdate: present - hour,
      nextUpdate: present + 24 * hour,
      revoked: this.#revoked.map((one) => ({ serial: one, at: present - 1000 })),
    });
    const { trustDomain } = this.#view;
    const crls = new Map([[trustDomain, { crls: [crl], intermediates: [] }]]);
    this.#view = { ...this.#view, crls };
    this.#rig?.views.set(this.#view);
    await Promise.resolve();
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
    const file = join(this.folder, `${wish.name}.json`);
    const socket = this.#rig?.address.slice("unix://".length) ?? "";
    await writeFile(file, JSON.stringify(configOf(wish, { port, socket }), perConnection(wish)));
    await this.#run(wish.name, this.#envoy, {
      args: ["-c", file, "--disable-hot-restart", "--concurrency", "1"],
      // It waits for its secrets before.
      isReady: (line) => line.includes("starting workers"),
    });
    return port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const program of this.#programs.toReversed()) await program.stop("SIGKILL");
    await this.#rig?.[Symbol.asyncDispose]();
    rmSync(this.folder, { recursive: true, force: true });
  }

  async #run(
    name: string,
    command: string,
    options: { readonly args: readonly string[]; readonly isReady: (line: string) => boolean },
  ): Promise<void> {
    const logFile = join(this.folder, `${name}.log`);
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
