import { type EnvoyBootstrapOptions, envoyBootstrap } from "../src/cli/envoy-bootstrap.ts";
import { parseSpiffeId, parseTrustDomain } from "../src/core/spiffe/spiffe-id.ts";

/** An Envoy beside one program, on the loopback address. */
export interface Sidecar {
  readonly name: string;
  readonly trustDomain: string;
  /** Path of the node daemon's socket. */
  readonly socket: string;
  /** Its own identity, and the name of the secret that it asks for: a user may have several. */
  readonly spiffeId: string;
  /** A client takes plain HTTP and speaks mutual TLS to another sidecar; a server the other way round. */
  readonly side: "client" | "server";
  /** SPIFFE IDs that it talks to; empty for every one of the trust domain. */
  readonly allow: readonly string[];
  /** Port where it listens. */
  readonly listen: number;
  /** Port to which it sends what it took. */
  readonly upstream: number;
}

const httpOptions = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/**
 * What `herald envoy bootstrap` prints for it, as JSON, and one thing more: a client makes a new connection after every 20 requests, so that a
 * rotation under load meets handshakes and not only connections that stand already.
 */
export function envoyConfig(sidecar: Sidecar): string {
  const bootstrap = envoyBootstrap(bootstrapOf(sidecar));
  return JSON.stringify(bootstrap, (key, value: unknown) =>
    key === httpOptions && typeof value === "object" && value !== null && "auto_config" in value
      ? { ...value, common_http_protocol_options: { max_requests_per_connection: 20 } }
      : value,
  );
}

function bootstrapOf(sidecar: Sidecar): EnvoyBootstrapOptions {
  const { side, listen, upstream, socket, spiffeId } = sidecar;
  const allow = sidecar.allow.map(parseSpiffeId);
  const context = "ROOTCA";
  const [expectServer] = allow;
  const common = {
    trustDomain: parseTrustDomain(sidecar.trustDomain),
    svidName: spiffeId,
    socket,
    apiType: "grpc",
    admin: local(0),
  } as const;
  if (side === "server")
    return {
      ...common,
      inbound: { listen: local(listen), app: local(upstream), context, allowCallers: allow },
    };
  const egress = { listen: local(listen), to: local(upstream), context };
  return { ...common, egress: expectServer === undefined ? egress : { ...egress, expectServer } };
}

function local(port: number): { readonly host: string; readonly port: number } {
  return { host: "127.0.0.1", port };
}
