import type { SpiffeId, TrustDomain } from "../core/spiffe/spiffe-id.ts";

/** A message of Envoy's configuration, as JSON. */
export type EnvoyConfig = Readonly<Record<string, unknown>>;

/** From where secrets come. */
export interface SdsSource {
  readonly cluster: string;
  readonly apiType: "grpc" | "delta";
}

/** One side of a connection within the mesh. */
export interface MeshTls {
  readonly source: SdsSource;
  readonly svidName: string;
  readonly trustDomain: TrustDomain;
  /** SDS name of the validation context. */
  readonly context: string;
  /** The peers to accept; empty for every identity of the trust domain. */
  readonly peers: readonly SpiffeId[];
}

/** Whether contexts of this name carry a policy of their own (protocol.md, "To Envoy"). */
export function carriesPolicy(context: string): boolean {
  return context.startsWith("peers:");
}

/** Members of a CommonTlsContext: own certificate and trust by SDS, with the guard that fits the context. */
export function meshTls(options: MeshTls): EnvoyConfig {
  const { source, svidName, context } = options;
  return {
    // The maximum too: Envoy's default for what it dials is TLS 1.2.
    tls_params: {
      tls_minimum_protocol_version: "TLSv1_3",
      tls_maximum_protocol_version: "TLSv1_3",
    },
    tls_certificate_sds_secret_configs: [{ name: svidName, sds_config: sdsConfig(source) }],
    combined_validation_context: {
      default_validation_context: { match_typed_subject_alt_names: guard(options) },
      validation_context_sds_secret_config: { name: context, sds_config: sdsConfig(source) },
    },
  };
}

/**
 * EF-26: without a matcher of its own Envoy takes an empty context for "anybody may come in"; with one it refuses such a
 * push. EF-23: pushed matchers are joined to this one by OR, so beside a policy it must let nobody in.
 */
function guard({ context, trustDomain, peers }: MeshTls): readonly EnvoyConfig[] {
  // The empty character class: no text matches, not even one that a forger would choose. Written so because Envoy's
  // RE2 reads Latin-1: it NACKs every push beside `[^\x00-\x{10FFFF}]`, which `--mode validate` lets pass.
  if (carriesPolicy(context)) return [uri({ safe_regex: { regex: "[^\\s\\S]" } })];
  if (peers.length > 0) return peers.map((id) => uri({ exact: id }));
  // With the slash: `spiffe://example.org` alone is also how `spiffe://example.org.evil/` begins.
  const trusted = context.startsWith("spiffe://") ? context : `spiffe://${trustDomain}`;
  return [uri({ prefix: `${trusted}/` })];
}

function uri(matcher: EnvoyConfig): EnvoyConfig {
  return { san_type: "URI", matcher };
}

/** EF-08: never over ADS, which crashes Envoy at boot for static clusters. */
function sdsConfig({ cluster, apiType }: SdsSource): EnvoyConfig {
  return {
    resource_api_version: "V3",
    // EF-40: by default a port without its secret opens after 15 s all the same and resets every handshake.
    initial_fetch_timeout: "0s",
    api_config_source: {
      api_type: apiType === "delta" ? "DELTA_GRPC" : "GRPC",
      transport_api_version: "V3",
      set_node_on_first_message_only: true,
      grpc_services: [
        {
          envoy_grpc: {
            cluster_name: cluster,
            // EF-06: back within half a second after an outage, instead of up to 22 s.
            retry_policy: { retry_back_off: { base_interval: "0.1s", max_interval: "0.5s" } },
          },
        },
      ],
    },
  };
}
