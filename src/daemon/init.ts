import { access, mkdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { parseTrustDomain } from "../core/spiffe/spiffe-id.ts";
import { makeNkeys } from "../events/adapters/nkeys.ts";
import { natsServerConfig } from "../events/adapters/server-config.ts";
import { writeDurably } from "../kit/adapters/durable-file.ts";
import type { SecretSource } from "../kit/adapters/secret-source.ts";
import { systemClock } from "../kit/clock.ts";
import { createControlKeys } from "./control-keys.ts";
import { makeTlsIdentity } from "./tls-endpoint.ts";

/** What `herald init` is told. */
export interface InitOptions {
  readonly dir: string;
  readonly trustDomain: string;
  readonly natsHost: string;
  readonly natsPort: number;
  /** `host:port` of the enrolment endpoint. */
  readonly httpsListen: string;
  readonly root: "online" | "offline";
  /** Of a key that seals all others; undefined: one is made in the folder. */
  readonly sealingKey?: SecretSource | undefined;
}

/** What `herald init` made. */
export interface InitResult {
  readonly files: readonly string[];
  /** What nodes pin. */
  readonly pin: string;
  /** What to do now, a line each. */
  readonly next: readonly string[];
}

/** Makes a trust domain: its control root, an issuer's keys, the broker's TLS key and configuration. Nothing is started. */
export async function initIssuer(options: InitOptions): Promise<InitResult> {
  const dir = resolve(options.dir);
  const trustDomain = parseTrustDomain(options.trustDomain);
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const { pin } = await createControlKeys(dir, trustDomain, {
    clock: systemClock,
    sealing: options.sealingKey,
  });
  const broker = await makeTlsIdentity(options.natsHost);
  const issuerNkeys = makeNkeys();
  const nodeNkeys = makeNkeys();
  const files: (readonly [name: string, text: string])[] = [
    ["nats/tls.crt", broker.certificatePem],
    ["nats/tls.key", broker.keyPem],
    ["keys/issuer.nkey", issuerNkeys.seed],
    ["keys/node.nkey", nodeNkeys.seed],
    [
      "nats/nats-server.conf",
      brokerConfig(dir, options, { issuer: issuerNkeys.publicKey, node: nodeNkeys.publicKey }),
    ],
    ["issuer.yaml", issuerYaml(options, broker.pin)],
  ];
  for (const [name, text] of files) await writeDurably(join(dir, name), Buffer.from(text));
  return { files: files.map(([name]) => join(dir, name)), pin, next: nextSteps(dir, options.root) };
}

/** Was this folder made by {@link initIssuer}? */
export async function isInitialised(dir: string): Promise<boolean> {
  return await access(join(dir, "issuer.yaml")).then(
    () => true,
    () => false,
  );
}

function brokerConfig(
  dir: string,
  options: InitOptions,
  nkeys: { readonly issuer: string; readonly node: string },
): string {
  return natsServerConfig({
    host: options.natsHost,
    port: options.natsPort,
    storeDir: join(dir, "nats", "store"),
    serverName: "herald",
    tlsCertFile: join(dir, "nats", "tls.crt"),
    tlsKeyFile: join(dir, "nats", "tls.key"),
    issuerPublicNkey: nkeys.issuer,
    nodePublicNkey: nkeys.node,
  });
}

function issuerYaml(options: InitOptions, brokerPin: string): string {
  return `# Written by \`herald init\`. Every setting is described in docs/operations.md.
trustDomain: ${options.trustDomain}
dir: .
nats:
  servers: ["tls://${options.natsHost}:${options.natsPort}"]
  # SHA-256 of the broker's public key; nodes learn it when they enrol.
  pins: ["${brokerPin}"]
  seedFile: keys/issuer.nkey
  nodeSeedFile: keys/node.nkey
enrolment:
  listen: "${options.httpsListen}"
root: ${options.root}
${keysYaml(options.sealingKey)}`;
}

function keysYaml(source: SecretSource | undefined): string {
  if (source === undefined) return "";
  const place = source.from === "file" ? resolve(source.path) : source.name;
  return `keys:\n  sealingKey: {${source.from}: ${JSON.stringify(place)}}\n`;
}

function nextSteps(dir: string, root: "online" | "offline"): readonly string[] {
  const steps = [
    `nats-server -c ${join(dir, "nats", "nats-server.conf")}`,
    `herald issuer --config ${join(dir, "issuer.yaml")}`,
    `herald node token --admin unix://${join(dir, "admin.sock")} --name NODE`,
  ];
  const takeAway = `move ${join(dir, "keys", "root.key")} to a safe place; it is needed again before 30 days are over`;
  return root === "offline" ? [...steps, takeAway] : steps;
}
