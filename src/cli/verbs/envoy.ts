import { type Command, Option } from "commander";
import { type SpiffeId, type TrustDomain, trustDomainOf } from "../../core/spiffe/spiffe-id.ts";
import type { HostPort } from "../../daemon/config.ts";
import {
  adminAddress,
  contextName,
  hostPort,
  seconds,
  socketPath,
  spiffeId,
  spiffeIds,
  svidName,
  trustDomain,
} from "../argument-parsers.ts";
import { CliError } from "../cli-error.ts";
import { type EnvoyBootstrapOptions, envoyBootstrap } from "../envoy-bootstrap.ts";
import { carriesPolicy } from "../envoy-tls.ts";
import { addGroup, addVerb, type Shop } from "../verb.ts";

interface BootstrapOptions {
  readonly trustDomain?: TrustDomain;
  readonly spiffeId: string;
  readonly socket: string;
  readonly listen?: HostPort;
  readonly upstreamApp?: HostPort;
  readonly allowCaller?: readonly SpiffeId[];
  readonly inboundContext: string;
  readonly egress?: HostPort;
  readonly to?: HostPort;
  readonly expectServer?: SpiffeId;
  readonly egressContext: string;
  readonly admin?: HostPort | "none";
  readonly maxConnectionAge?: number;
  readonly apiType: "grpc" | "delta";
  readonly json?: true;
}

export function addEnvoy(program: Command, { surroundings }: Shop): void {
  const envoy = addGroup(program, { name: "envoy", description: "configurations of Envoy" });
  const verb = addVerb(envoy, {
    name: "bootstrap",
    description:
      "print the bootstrap of a sidecar that takes its identity and its trust from Herald",
    examples: [
      "herald envoy bootstrap --trust-domain example.org --listen 0.0.0.0:8443 --upstream-app 127.0.0.1:8080 --allow-caller spiffe://example.org/web > envoy.yaml",
      "herald envoy bootstrap --trust-domain example.org --egress 127.0.0.1:9000 --to api.internal:8443 --expect-server spiffe://example.org/api > envoy.yaml",
    ],
  })
    .option(
      "--trust-domain <name>",
      "the own trust domain (default: that of --spiffe-id)",
      trustDomain,
    )
    .option(
      "--spiffe-id <id>",
      "the sidecar's own identity, where its user has several",
      svidName,
      "default",
    )
    .option(
      "--socket <address>",
      "Herald's socket, unix:///path",
      socketPath,
      "/run/herald/herald.sock",
    )
    .option("--listen <host:port>", "accept mutual TLS here, for --upstream-app", hostPort)
    .option("--upstream-app <host:port>", "the application, which speaks plain HTTP", hostPort)
    .option(
      "--allow-caller <id>",
      "who may call; repeatable (default: every identity of the trust domain)",
      spiffeIds,
    )
    .option(
      "--inbound-context <name>",
      "SDS name of what callers are checked by",
      contextName,
      "ROOTCA",
    )
    .option("--egress <host:port>", "accept plain HTTP here, for --to", hostPort)
    .option(
      "--to <host:port>",
      "the other side's sidecar, which is spoken to by mutual TLS",
      hostPort,
    )
    .option(
      "--expect-server <id>",
      "who must answer (default: any identity of the trust domain)",
      spiffeId,
    )
    .option(
      "--egress-context <name>",
      "SDS name of what servers are checked by",
      contextName,
      "ROOTCA",
    )
    .option("--admin <host:port>", "Envoy's own admin page, or none (default: none)", adminAddress)
    .option(
      "--max-connection-age <duration>",
      "replace connections after this long, so that peers whose SVIDs were revoked meanwhile get no further (default: never)",
      seconds,
    )
    .addOption(
      new Option("--api-type <type>", "the kind of SDS stream")
        .choices(["grpc", "delta"])
        .default("grpc"),
    );
  verb.action(async () => {
    const options = verb.opts<BootstrapOptions>();
    const config = envoyBootstrap(bootstrapOf(options));
    const { stringify } = await import("yaml");
    surroundings.out(
      options.json === true
        ? `${JSON.stringify(config)}\n`
        : stringify(config, { lineWidth: 0, aliasDuplicateObjects: false }),
    );
  });
}

function bootstrapOf(options: BootstrapOptions): EnvoyBootstrapOptions {
  const { socket, apiType, admin, maxConnectionAge, spiffeId: name } = options;
  const trusted =
    options.trustDomain ?? (name === "default" ? undefined : trustDomainOf(spiffeId(name)));
  if (trusted === undefined) {
    throw usage("the trust domain is not known", "give --trust-domain, or --spiffe-id with it");
  }
  const inbound = inboundOf(options);
  const egress = egressOf(options);
  if (inbound === undefined && egress === undefined) {
    throw usage(
      "a sidecar without any listener does nothing",
      "give --listen with --upstream-app, --egress with --to, or both",
    );
  }
  return {
    trustDomain: trusted,
    svidName: name,
    socket,
    apiType,
    ...(inbound === undefined ? {} : { inbound }),
    ...(egress === undefined ? {} : { egress }),
    ...(admin === undefined || admin === "none" ? {} : { admin }),
    ...(maxConnectionAge === undefined ? {} : { maxConnectionSeconds: maxConnectionAge }),
  };
}

function inboundOf(options: BootstrapOptions): EnvoyBootstrapOptions["inbound"] {
  const {
    listen,
    upstreamApp: app,
    inboundContext: context,
    allowCaller: allowCallers = [],
  } = options;
  if ((listen === undefined) !== (app === undefined)) {
    throw usage("--listen and --upstream-app need each other", "give both, or neither");
  }
  if (listen === undefined || app === undefined) {
    if (allowCallers.length > 0)
      throw usage(
        "--allow-caller says who may call --listen, which is not given",
        "give --listen and --upstream-app",
      );
    return undefined;
  }
  refuseBoth(context, allowCallers.length > 0, "--allow-caller");
  return { listen, app, context, allowCallers };
}

function egressOf(options: BootstrapOptions): EnvoyBootstrapOptions["egress"] {
  const { egress: listen, to, egressContext: context, expectServer } = options;
  if ((listen === undefined) !== (to === undefined)) {
    throw usage("--egress and --to need each other", "give both, or neither");
  }
  if (listen === undefined || to === undefined) {
    if (expectServer !== undefined)
      throw usage(
        "--expect-server says who must answer at --to, which is not given",
        "give --egress and --to",
      );
    return undefined;
  }
  refuseBoth(context, expectServer !== undefined, "--expect-server");
  return { listen, to, context, ...(expectServer === undefined ? {} : { expectServer }) };
}

/** EF-23: the two would be joined by OR, and the pushed policy would no longer be the limit. */
function refuseBoth(context: string, hasStatic: boolean, flag: string): void {
  if (!carriesPolicy(context) || !hasStatic) return;
  throw usage(
    `${flag} would let in more than the policy ${context} does`,
    `leave out ${flag}, or use ROOTCA`,
  );
}

function usage(message: string, cure: string): CliError {
  return new CliError("USAGE", message, { cure });
}
