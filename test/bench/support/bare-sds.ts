import { Server, ServerCredentials, type ServerDuplexStream } from "@grpc/grpc-js";
import { makeTlsIdentity, type TlsIdentity } from "../../../src/daemon/tls-endpoint.ts";
import { secretTypeUrl } from "../../../src/sds/encode.ts";
import { Secret } from "../../../src/wire/envoy/extensions/transport_sockets/tls/v3/secret.ts";
import type {
  DiscoveryRequest,
  DiscoveryResponse,
} from "../../../src/wire/envoy/service/discovery/v3/discovery.ts";
import { SecretDiscoveryServiceService } from "../../../src/wire/envoy/service/secret/v3/sds.ts";

type Stream = ServerDuplexStream<DiscoveryRequest, DiscoveryResponse>;

/**
 * What no product can do without: a gRPC server that holds a finished certificate and pushes it when told. No broker, no
 * issuer, no key to make, no disk.
 */
export class BareSds implements AsyncDisposable {
  readonly #server = new Server();
  readonly #streams = new Map<string, Stream>();
  readonly #waiting = new Map<string, () => void>();
  readonly #identity: TlsIdentity;

  private constructor(identity: TlsIdentity) {
    this.#identity = identity;
  }

  static async start(socket: string): Promise<BareSds> {
    const bare = new BareSds(await makeTlsIdentity("127.0.0.1"));
    bare.#server.addService(SecretDiscoveryServiceService, {
      streamSecrets: (stream: Stream) => bare.#serve(stream),
    });
    await new Promise<void>((resolve, reject) => {
      bare.#server.bindAsync(`unix:${socket}`, ServerCredentials.createInsecure(), (error) =>
        error === null ? resolve() : reject(error),
      );
    });
    return bare;
  }

  /** Has somebody asked for all of them? */
  isAskedFor(names: readonly string[]): boolean {
    return names.every((name) => this.#streams.has(name));
  }

  /** Sends the secret `name` and resolves when Envoy has acknowledged it. @throws {Error} when nobody has asked for it */
  async push(name: string): Promise<void> {
    const stream = this.#streams.get(name);
    if (stream === undefined) throw new Error(`no stream asks for ${name}`);
    const acknowledged = new Promise<void>((resolve) => this.#waiting.set(name, resolve));
    stream.write({
      versionInfo: name,
      resources: [{ typeUrl: secretTypeUrl, value: this.#encode(name) }],
      typeUrl: secretTypeUrl,
      nonce: name,
      controlPlane: undefined,
    });
    await acknowledged;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.forceShutdown();
    await Promise.resolve();
  }

  #serve(stream: Stream): void {
    stream.on("error", () => undefined);
    stream.on("data", ({ resourceNames, responseNonce }: DiscoveryRequest) => {
      for (const name of resourceNames) this.#streams.set(name, stream);
      this.#waiting.get(responseNonce)?.();
    });
  }

  #encode(name: string): Buffer {
    const inline = (text: string) => ({
      specifier: { $case: "inlineBytes" as const, value: Buffer.from(text) },
    });
    const value = {
      certificateChain: inline(this.#identity.certificatePem),
      privateKey: inline(this.#identity.keyPem),
    };
    return Buffer.from(Secret.encode({ name, type: { $case: "tlsCertificate", value } }).finish());
  }
}
