import { writeFile } from "node:fs/promises";
import { envoyPath } from "../../support/parts.ts";
import { Program } from "./program.ts";

/** An Envoy that asks for secrets and does nothing else. */
export interface SecretsEnvoy {
  readonly program: Program;
  /** Of its streams to the SDS server, those that are open now. */
  openStreams(): Promise<number>;
}

/** SDS names: one cluster for each of `svids`, all with the validation context `bundle`. */
export interface SecretsWish {
  readonly name: string;
  /** Path of the SDS server's socket. */
  readonly socket: string;
  readonly svids: readonly string[];
  readonly bundle: string;
  /** Where its configuration is written. */
  readonly configFile: string;
}

/** Starts it. Resolves when it runs and has opened its streams: one for each SVID, one for the bundle. */
export async function startSecretsEnvoy(wish: SecretsWish): Promise<SecretsEnvoy> {
  await writeFile(wish.configFile, JSON.stringify(config(wish)));
  const program = new Program({
    name: `Envoy ${wish.name}`,
    command: envoyPath(),
    args: [
      ["-c", wish.configFile],
      ["--disable-hot-restart", "--concurrency", "1", "--log-level", "info"],
    ].flat(),
    isReady: (text) => adminPort(text) !== undefined,
  });
  const port = adminPort((await program.start()).text) ?? 0;
  return { program, openStreams: async () => await openStreams(port) };
}

async function openStreams(port: number): Promise<number> {
  const stat = "cluster.herald.upstream_rq_active";
  const response = await fetch(`http://127.0.0.1:${port}/stats?filter=^${stat}$`);
  return Number(/: (\d+)/.exec(await response.text())?.[1] ?? 0);
}

function adminPort(text: string): number | undefined {
  const port = /admin address: 127\.0\.0\.1:(\d+)/.exec(text)?.[1];
  return port === undefined ? undefined : Number(port);
}

function config({ name, socket, svids, bundle }: SecretsWish): object {
  return {
    node: { id: name, cluster: name },
    admin: { address: { socket_address: { address: "127.0.0.1", port_value: 0 } } },
    static_resources: {
      clusters: [
        {
          name: "herald",
          circuit_breakers: { thresholds: [{ max_requests: 65_536 }] },
          typed_extension_protocol_options: {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
              "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
              explicit_http_config: { http2_protocol_options: {} },
            },
          },
          load_assignment: endpoint("herald", { pipe: { path: socket } }),
        },
        ...svids.map((svid, index) => ({
          name: `to-${index}`,
          load_assignment: endpoint(`to-${index}`, {
            socket_address: { address: "127.0.0.1", port_value: 1 },
          }),
          transport_socket: {
            name: "tls",
            typed_config: {
              "@type":
                "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
              common_tls_context: {
                tls_certificate_sds_secret_configs: [secret(svid)],
                validation_context_sds_secret_config: secret(bundle),
              },
            },
          },
        })),
      ],
    },
  };
}

function secret(name: string): object {
  return {
    name,
    sds_config: {
      resource_api_version: "V3",
      initial_fetch_timeout: "0s",
      api_config_source: {
        api_type: "GRPC",
        transport_api_version: "V3",
        grpc_services: [
          {
            envoy_grpc: {
              cluster_name: "herald",
              // Reconnects soon: how fast a restarted daemon serves is not to be blurred by Envoy's own pauses of up to 30 s.
              retry_policy: { retry_back_off: { base_interval: "0.05s", max_interval: "0.1s" } },
            },
          },
        ],
      },
    },
  };
}

function endpoint(cluster: string, address: object): object {
  return { cluster_name: cluster, endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }] };
}
