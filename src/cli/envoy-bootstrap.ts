import type { SpiffeId, TrustDomain } from "../core/spiffe/spiffe-id.ts";
import type { HostPort } from "../daemon/config.ts";
import { type EnvoyConfig, meshTls, type SdsSource } from "./envoy-tls.ts";

/** A sidecar: what it listens on, to whom it speaks, and whom it trusts. */
export interface EnvoyBootstrapOptions {
  readonly trustDomain: TrustDomain;
  /** SDS name of its own SVID: `default`, or a SPIFFE ID where the process has several. */
  readonly svidName: string;
  /** Path of Herald's socket. */
  readonly socket: string;
  readonly apiType: "grpc" | "delta";
  /** mTLS in, plain HTTP to the application. */
  readonly inbound?: {
    readonly listen: HostPort;
    readonly app: HostPort;
    /** SDS name of the validation context: `ROOTCA`, `ALL`, `spiffe://td`, or `peers:…`, which carries a policy. */
    readonly context: string;
    /** Who may call; empty for every identity of the trust domain. Not with `peers:…`. */
    readonly allowCallers: readonly SpiffeId[];
  };
  /** Plain HTTP in, mTLS to another sidecar. */
  readonly egress?: {
    readonly listen: HostPort;
    readonly to: HostPort;
    readonly context: string;
    /** Who must answer; absent for every identity of the trust domain. Not with `peers:…`. */
    readonly expectServer?: SpiffeId;
  };
  readonly admin?: HostPort;
  /**
   * Seconds after which a connection is drained and made anew. Envoy looks at CRLs and expiry in handshakes only (EF-22), so this is how long
   * a revoked peer may go on after its last one. Default: a connection lives as long as both sides want.
   */
  readonly maxConnectionSeconds?: number;
}

const heraldCluster = "herald";
const types = "type.googleapis.com/envoy.extensions";
/**
 * EF-05: each secret is one long-lived request, and Envoy's own limit is 1,024 a cluster; beyond it secrets never come.
 */
const maxSecrets = 65_536;

/**
 * The bootstrap of a sidecar that takes its identity and its trust from Herald. Each odd line answers a
 * fact that was seen on Envoy 1.40 (EF-…). JSON that Envoy reads as envoy.config.bootstrap.v3.Bootstrap.
 */
export function envoyBootstrap(options: EnvoyBootstrapOptions): EnvoyConfig {
  const { inbound, egress, admin } = options;
  const id = options.svidName.startsWith("spiffe://") ? options.svidName : "sidecar";
  return {
    // EF-43: it identifies nobody; Herald knows its Envoys from the kernel.
    node: { id, cluster: id },
    ...(admin === undefined ? {} : { admin: { address: address(admin) } }),
    static_resources: {
      listeners: [
        ...(inbound === undefined ? [] : [inboundListener(options, inbound)]),
        ...(egress === undefined ? [] : [egressListener(egress.listen)]),
      ],
      clusters: [
        ...(inbound === undefined ? [] : [cluster("app", inbound.app)]),
        ...(egress === undefined ? [] : [egressCluster(options, egress)]),
        sdsCluster(options.socket),
      ],
    },
  };
}

function inboundListener(
  options: EnvoyBootstrapOptions,
  inbound: NonNullable<EnvoyBootstrapOptions["inbound"]>,
): EnvoyConfig {
  const { trustDomain, svidName } = options;
  const { context, allowCallers } = inbound;
  return {
    name: "inbound",
    address: address(inbound.listen),
    filter_chains: [
      {
        transport_socket: {
          name: "tls",
          typed_config: {
            "@type": `${types}.transport_sockets.tls.v3.DownstreamTlsContext`,
            require_client_certificate: true,
            common_tls_context: {
              alpn_protocols: ["h2", "http/1.1"],
              ...meshTls({
                source: sdsSource(options),
                svidName,
                trustDomain,
                context,
                peers: allowCallers,
              }),
            },
          },
        },
        filters: [
          connectionManager("inbound", "app", {
            ...agingOf(options),
            // What a caller says of itself is thrown away; the application sees the identity that TLS proved.
            forward_client_cert_details: "SANITIZE_SET",
            set_current_client_cert_details: { uri: true },
          }),
        ],
      },
    ],
  };
}

function egressListener(listen: HostPort): EnvoyConfig {
  return {
    name: "egress",
    address: address(listen),
    filter_chains: [{ filters: [connectionManager("egress", "upstream", {})] }],
  };
}

function egressCluster(
  options: EnvoyBootstrapOptions,
  egress: NonNullable<EnvoyBootstrapOptions["egress"]>,
): EnvoyConfig {
  const { trustDomain, svidName } = options;
  const { context, expectServer } = egress;
  const peers = expectServer === undefined ? [] : [expectServer];
  return {
    ...cluster("upstream", egress.to),
    typed_extension_protocol_options: httpOptions({
      auto_config: { http_protocol_options: {}, http2_protocol_options: {} },
      ...agingOf(options),
    }),
    transport_socket: {
      name: "tls",
      typed_config: {
        "@type": `${types}.transport_sockets.tls.v3.UpstreamTlsContext`,
        common_tls_context: meshTls({
          source: sdsSource(options),
          svidName,
          trustDomain,
          context,
          peers,
        }),
      },
    },
  };
}

function connectionManager(prefix: string, to: string, more: EnvoyConfig): EnvoyConfig {
  const route = {
    cluster: to,
    // Streams and slow answers are the application's business; Envoy's default cuts them after 15 s.
    timeout: "0s",
    // Only what the peer has certainly not begun: a kept connection that it closed at that moment fails no request.
    retry_policy: {
      retry_on: "connect-failure,refused-stream,reset-before-request",
      num_retries: 2,
    },
  };
  return {
    name: "envoy.filters.network.http_connection_manager",
    typed_config: {
      "@type": `${types}.filters.network.http_connection_manager.v3.HttpConnectionManager`,
      stat_prefix: prefix,
      ...more,
      route_config: {
        virtual_hosts: [{ name: to, domains: ["*"], routes: [{ match: { prefix: "/" }, route }] }],
      },
      http_filters: [
        {
          name: "envoy.filters.http.router",
          typed_config: { "@type": `${types}.filters.http.router.v3.Router` },
        },
      ],
    },
  };
}

function agingOf({ maxConnectionSeconds: seconds }: EnvoyBootstrapOptions): EnvoyConfig {
  return seconds === undefined
    ? {}
    : { common_http_protocol_options: { max_connection_duration: `${seconds}s` } };
}

/** Herald's socket. */
function sdsCluster(socket: string): EnvoyConfig {
  return {
    name: heraldCluster,
    type: "STATIC",
    connect_timeout: "1s",
    circuit_breakers: {
      thresholds: [{ max_requests: maxSecrets, max_pending_requests: maxSecrets }],
    },
    typed_extension_protocol_options: httpOptions({
      explicit_http_config: {
        http2_protocol_options: {
          // EF-06: a daemon that hangs is left within seconds instead of minutes.
          connection_keepalive: { interval: "10s", timeout: "5s" },
        },
      },
    }),
    load_assignment: endpoints(heraldCluster, { pipe: { path: socket } }),
  };
}

function cluster(name: string, at: HostPort): EnvoyConfig {
  return {
    name,
    // A name is looked up, an address is not.
    type: isAddress(at.host) ? "STATIC" : "STRICT_DNS",
    connect_timeout: "5s",
    load_assignment: endpoints(name, address(at)),
  };
}

function endpoints(name: string, at: EnvoyConfig): EnvoyConfig {
  return {
    cluster_name: name,
    endpoints: [{ lb_endpoints: [{ endpoint: { address: at } }] }],
  };
}

function httpOptions(choice: EnvoyConfig): EnvoyConfig {
  const name = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
  return { [name]: { "@type": `type.googleapis.com/${name}`, ...choice } };
}

function address({ host, port }: HostPort): EnvoyConfig {
  return { socket_address: { address: host, port_value: port } };
}

function isAddress(host: string): boolean {
  return /^[0-9.]+$/.test(host) || host.includes(":");
}

function sdsSource(options: EnvoyBootstrapOptions): SdsSource {
  return { cluster: heraldCluster, apiType: options.apiType };
}
