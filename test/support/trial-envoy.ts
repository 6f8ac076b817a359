import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Server, ServerCredentials, type ServerDuplexStream } from "@grpc/grpc-js";
import { envoyBootstrap } from "../../src/cli/envoy-bootstrap.ts";
import type { SpiffeId } from "../../src/core/spiffe/spiffe-id.ts";
import type { X509Svid } from "../../src/core/svid/workload-view.ts";
import { encodeSvid, secretTypeUrl } from "../../src/sds/encode.ts";
import type {
  DiscoveryRequest,
  DiscoveryResponse,
} from "../../src/wire/envoy/service/discovery/v3/discovery.ts";
import { SecretDiscoveryServiceService } from "../../src/wire/envoy/service/secret/v3/sds.ts";
import { hour, makeAuthority, makeSvid, type SvidBend } from "./ca-world.ts";
import { callAs } from "./tls-call.ts";

type Stream = ServerDuplexStream<DiscoveryRequest, DiscoveryResponse>;

/** What Envoy made of a push: undefined for an ACK, its own words for a NACK. */
export type Verdict = string | undefined;

/** Envoy reads the real clock: everything it judges is dated by it. */
export const present: number = Date.now();
export const presentDates: Required<Pick<SvidBend, "notBefore" | "notAfter">> = {
  notBefore: present - hour,
  notAfter: present + hour,
};

/** Name of the validation context that a trial Envoy asks for. */
export const trialContext = "ROOTCA";

/**
 * An Envoy from a generated bootstrap, with an SDS server that pushes whatever bytes a test wants in place of Herald: so what Envoy
 * really does with a secret is seen, fit to be sent or not.
 */
export class TrialEnvoy implements AsyncDisposable {
  readonly #folder: string;
  readonly #server: Server;
  readonly #sds: RawSds;
  readonly #child: ChildProcess;

  private constructor(parts: {
    readonly folder: string;
    readonly server: Server;
    readonly sds: RawSds;
    readonly child: ChildProcess;
  }) {
    this.#folder = parts.folder;
    this.#server = parts.server;
    this.#sds = parts.sds;
    this.#child = parts.child;
  }

  /**
   * `first` is the validation context that it starts with: without one its port stays closed. `callers` are those whom its own guard lets
   * pass; by default every identity of example.org.
   */
  static async start(
    envoy: string,
    first: Uint8Array,
    callers: readonly SpiffeId[] = [],
  ): Promise<TrialEnvoy> {
    const folder = mkdtempSync(join(tmpdir(), "herald-trial-"));
    const socket = join(folder, "sds.sock");
    const server = new Server();
    const sds = new RawSds();
    const own = makeSvid([makeAuthority(presentDates)], presentDates);
    sds.set("own", encodeSvid("own", own));
    sds.set(trialContext, first);
    server.addService(SecretDiscoveryServiceService, {
      streamSecrets: (stream: Stream) => sds.serve(stream),
    });
    await new Promise<void>((resolve, reject) => {
      server.bindAsync(`unix:${socket}`, ServerCredentials.createInsecure(), (error) =>
        error === null ? resolve() : reject(error),
      );
    });
    const adminFile = join(folder, "admin");
    const child = spawn(
      envoy,
      [
        ["--config-yaml", JSON.stringify(configuration(socket, callers))],
        ["--admin-address-path", adminFile, "--disable-hot-restart", "--concurrency", "1"],
      ].flat(),
      { stdio: ["ignore", "ignore", "pipe"] },
    );
    const trial = new TrialEnvoy({ folder, server, sds, child });
    await lineOf(child, /starting workers/);
    return trial;
  }

  /** Pushes a validation context, whole, and tells what Envoy made of it. An ACK comes when it is in force. */
  async push(secret: Uint8Array): Promise<Verdict> {
    return await this.#sds.push(trialContext, secret);
  }

  /** What a caller with this SVID gets: an HTTP status, or undefined when its handshake is refused. */
  async call(svid: X509Svid): Promise<number | undefined> {
    return await callAs(svid, (await this.#listener()).port);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const gone = once(this.#child, "close");
    this.#child.kill("SIGKILL");
    await gone;
    this.#server.forceShutdown();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #listener(): Promise<{ readonly port: number }> {
    const admin = readFileSync(join(this.#folder, "admin"), "utf8").trim();
    const text = await (await fetch(`http://${admin}/listeners`)).text();
    return { port: Number(/^inbound::.*:(\d+)$/m.exec(text)?.[1]) };
  }
}

/** Past the handshake: the application, which is not there, is asked. */
export const accepted = 503;

/** An SVID that is in date now. */
export function presentSvid(...[path, bend]: Parameters<typeof makeSvid>): X509Svid {
  return makeSvid(path, { ...presentDates, ...bend });
}

/** One stream a secret, as Envoy opens them (EF-01); each push is a response of its own, and its answer is awaited. */
class RawSds {
  readonly #secrets = new Map<string, Uint8Array>();
  readonly #streams = new Map<string, Stream>();
  readonly #answers = new Map<string, (verdict: Verdict) => void>();
  #nonces = 0;

  set(name: string, secret: Uint8Array): void {
    this.#secrets.set(name, secret);
  }

  serve(stream: Stream): void {
    stream.on("error", () => undefined);
    stream.on("data", ({ resourceNames, responseNonce, errorDetail }: DiscoveryRequest) => {
      this.#answers.get(responseNonce)?.(errorDetail?.message);
      this.#answers.delete(responseNonce);
      if (responseNonce !== "") return;
      for (const name of resourceNames) {
        this.#streams.set(name, stream);
        this.#send(stream, this.#secrets.get(name));
      }
    });
  }

  async push(name: string, secret: Uint8Array): Promise<Verdict> {
    this.set(name, secret);
    const stream = this.#streams.get(name);
    if (stream === undefined) throw new Error(`no stream asks for ${name}`);
    return await new Promise((resolve) => {
      this.#answers.set(String(this.#nonces + 1), resolve);
      this.#send(stream, secret);
    });
  }

  #send(stream: Stream, secret: Uint8Array | undefined): void {
    if (secret === undefined) return;
    this.#nonces += 1;
    stream.write({
      versionInfo: String(this.#nonces),
      resources: [{ typeUrl: secretTypeUrl, value: Buffer.from(secret) }],
      typeUrl: secretTypeUrl,
      nonce: String(this.#nonces),
      controlPlane: undefined,
    });
  }
}

function configuration(socket: string, allowCallers: readonly SpiffeId[]): object {
  const any = { host: "127.0.0.1", port: 0 };
  return envoyBootstrap({
    trustDomain: makeAuthority().trustDomain,
    svidName: "own",
    socket,
    apiType: "grpc",
    admin: any,
    inbound: {
      listen: any,
      app: { host: "127.0.0.1", port: 1 },
      context: trialContext,
      allowCallers,
    },
  });
}

async function lineOf(child: ChildProcess, wanted: RegExp): Promise<void> {
  const seen: string[] = [];
  if (child.stderr === null) throw new Error("no stderr");
  const lines = createInterface({ input: child.stderr });
  await new Promise<void>((done, fail) => {
    lines.on("line", (line) => {
      seen.push(line);
      if (wanted.test(line)) done();
    });
    lines.once("close", () => fail(new Error(`Envoy ended:\n${seen.slice(-10).join("\n")}`)));
  });
}
