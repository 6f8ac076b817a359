/** What both kinds of sidecar are made from. */
interface SidecarFacts {
  readonly name: string;
  readonly trustDomain: string;
  /** Path of the node daemon's socket. */
  readonly socket: string;
  /** Its own identity, and the name of the secret that it asks for. */
  readonly spiffeId: string;
  /** SPIFFE IDs that it talks to; empty for every one of the trust domain. */
  readonly allow: readonly string[];
  /** Where it listens on the loopback address. */
  readonly listen: number;
  /** Where it sends what it took on the loopback address. */
  readonly upstream: number;
}

export type Sidecar = SidecarFacts & { readonly side: "client" | "server" };

const type = (name: string): { "@type": string } => ({
  "@type": `type.googleapis.com/envoy.extensions.${name}`,
});

/** Envoy's configuration as JSON: mutual TLS on one side, plain HTTP on the other, all secrets from the node daemon. */
export function envoyConfig(sidecar: Sidecar): string {
  const { name, side, listen, upstream, socket } = sidecar;
  const isServer = side === "server";
  return JSON.stringify({
    node: { id: name, cluster: name },
    admin: { address: address(0) },
    static_resources: {
      listeners: [
        {
          name: "in",
          address: address(listen),
          filter_chains: [
            {
              filters: [connectionManager(isServer)],
              ...(isServer
                ? {
                    transport_socket: tls("DownstreamTlsContext", {
                      require_client_certificate: true,
                      common_tls_context: secrets(sidecar),
                    }),
                  }
                : {}),
            },
          ],
        },
      ],
      clusters: [
        {
          name: "out",
          load_assignment: endpoint("out", { address: address(upstream) }),
          ...(isServer
            ? {}
            : {
                transport_socket: tls("UpstreamTlsContext", {
                  common_tls_context: secrets(sidecar),
                }),
                typed_extension_protocol_options: httpOptions({
                  // New connections now and then, so that a rotation meets handshakes and not only what stands already.
                  common_http_protocol_options: { max_requests_per_connection: 20 },
                  explicit_http_config: { http_protocol_options: {} },
                }),
              }),
        },
        {
          name: "herald",
          circuit_breakers: { thresholds: [{ max_requests: 65_536 }] },
          typed_extension_protocol_options: httpOptions({
            explicit_http_config: {
              http2_protocol_options: { connection_keepalive: { interval: "10s", timeout: "5s" } },
            },
          }),
          load_assignment: endpoint("herald", { address: { pipe: { path: socket } } }),
        },
      ],
    },
  });
}

function secrets({ spiffeId, trustDomain, allow }: Sidecar): object {
  const matchers =
    allow.length > 0
      ? allow.map((id) => ({ exact: id }))
      : [{ prefix: `spiffe://${trustDomain}/` }];
  return {
    tls_certificate_sds_secret_configs: [{ name: spiffeId, sds_config: fromHerald }],
    combined_validation_context: {
      default_validation_context: {
        match_typed_subject_alt_names: matchers.map((matcher) => ({ san_type: "URI", matcher })),
      },
      validation_context_sds_secret_config: { name: "ROOTCA", sds_config: fromHerald },
    },
  };
}

const fromHerald = {
  resource_api_version: "V3",
  initial_fetch_timeout: "0s",
  api_config_source: {
    api_type: "GRPC",
    transport_api_version: "V3",
    grpc_services: [
      {
        envoy_grpc: {
          cluster_name: "herald",
          retry_policy: { retry_back_off: { base_interval: "0.1s", max_interval: "0.5s" } },
        },
      },
    ],
  },
};

function connectionManager(tellsCaller: boolean): object {
  const router = { ...type("filters.http.router.v3.Router") };
  return {
    name: "envoy.filters.network.http_connection_manager",
    typed_config: {
      ...type("filters.network.http_connection_manager.v3.HttpConnectionManager"),
      stat_prefix: "in",
      ...(tellsCaller
        ? {
            forward_client_cert_details: "SANITIZE_SET",
            set_current_client_cert_details: { uri: true },
          }
        : {}),
      route_config: {
        virtual_hosts: [
          {
            name: "all",
            domains: ["*"],
            routes: [{ match: { prefix: "/" }, route: { cluster: "out" } }],
          },
        ],
      },
      http_filters: [{ name: "envoy.filters.http.router", typed_config: router }],
    },
  };
}

function tls(context: string, settings: object): object {
  return {
    name: "envoy.transport_sockets.tls",
    typed_config: { ...type(`transport_sockets.tls.v3.${context}`), ...settings },
  };
}

function httpOptions(settings: object): object {
  const name = "upstreams.http.v3.HttpProtocolOptions";
  return { [`envoy.extensions.${name}`]: { ...type(name), ...settings } };
}

function endpoint(cluster: string, at: object): object {
  return { cluster_name: cluster, endpoints: [{ lb_endpoints: [{ endpoint: at }] }] };
}

function address(port: number): object {
  return { socket_address: { address: "127.0.0.1", port_value: port } };
}
