import {
  type ConnectionOptions,
  connect,
  createSecureContext,
  type DetailedPeerCertificate,
  type PeerCertificate,
} from "node:tls";
import { credentials } from "@grpc/grpc-js";
import { errnoOf, RpcError } from "./error.ts";
import type { UnixDial } from "./grpc-client.ts";
import { longestMessage } from "./grpc-server.ts";

/** How to call a gRPC server over mutual TLS 1.3. */
export interface TlsDialOptions {
  /** Without brackets. */
  readonly host: string;
  readonly port: number;
  /** PEM: what this client shows, and whom it trusts. */
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
  /** Whether it is the right server; throws for any other. DER, leaf first. */
  readonly verifyServer: (chain: readonly Uint8Array[]) => void;
  /** For the first connection, milliseconds. Defaults to 10,000. */
  readonly timeoutMs?: number;
}

/** SNI may not be an address, and names mean nothing here: the server is known by its SPIFFE ID. */
const anyName = "issuer.herald.invalid";

/** More than a real chain has; a server that sends more is not listened to. */
const longestChain = 8;

/**
 * Looks who answers, so that a person is told what is wrong before gRPC retries in silence; each later connection is verified as this one.
 * @throws {RpcError} NOBODY_LISTENS, ACCESS_DENIED, TIMED_OUT
 */
export async function dialTls(options: TlsDialOptions): Promise<UnixDial> {
  const { host, port, cert, key, ca } = options;
  const secureContext = createSecureContext({ cert, key, ca, minVersion: "TLSv1.3" });
  const checkServerIdentity = (_host: string, shown: PeerCertificate): Error | undefined => {
    try {
      options.verifyServer(chainOf(shown));
      return undefined;
    } catch (thrown) {
      return thrown instanceof Error ? thrown : new RpcError("ACCESS_DENIED", String(thrown));
    }
  };
  await probe(options, { secureContext, checkServerIdentity });
  return {
    target: `${host.includes(":") ? `[${host}]` : host}:${port}`,
    credentials: credentials.createFromSecureContext(secureContext, { checkServerIdentity }),
    options: {
      "grpc.max_receive_message_length": longestMessage,
      "grpc.enable_http_proxy": 0,
      "grpc.ssl_target_name_override": anyName,
    },
  };
}

async function probe(
  { host, port, timeoutMs = 10_000 }: TlsDialOptions,
  checked: Pick<ConnectionOptions, "secureContext" | "checkServerIdentity">,
): Promise<void> {
  const place = `${host}:${port}`;
  const socket = connect({ host, port, servername: anyName, ALPNProtocols: ["h2"], ...checked });
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once("secureConnect", resolve);
      socket.once("error", reject);
      socket.setTimeout(timeoutMs, () =>
        reject(
          new RpcError(
            "TIMED_OUT",
            `${place} did not answer; see whether a firewall lets it be reached`,
          ),
        ),
      );
    });
  } catch (cause) {
    if (cause instanceof RpcError) throw cause;
    const isGone = [
      "ECONNREFUSED",
      "ENOTFOUND",
      "EHOSTUNREACH",
      "ENETUNREACH",
      "EAI_AGAIN",
    ].includes(errnoOf(cause));
    throw isGone
      ? new RpcError(
          "NOBODY_LISTENS",
          `nobody listens at ${place}; start the issuer with admin.tls, or give its address`,
          { cause },
        )
      : new RpcError(
          "ACCESS_DENIED",
          `${place} is not believed, or does not believe this client: ${cause instanceof Error ? cause.message : String(cause)}`,
          { cause },
        );
  } finally {
    socket.destroy();
  }
}

function chainOf(shown: PeerCertificate | DetailedPeerCertificate): readonly Uint8Array[] {
  const chain: Uint8Array[] = [];
  const seen = new Set<string>();
  let next: PeerCertificate | DetailedPeerCertificate | undefined = shown;
  while (next !== undefined && !seen.has(next.fingerprint256) && chain.length < longestChain) {
    seen.add(next.fingerprint256);
    chain.push(next.raw);
    next = "issuerCertificate" in next ? next.issuerCertificate : undefined;
  }
  return chain;
}
