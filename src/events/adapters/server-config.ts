import { isIP } from "node:net";
import { EventsError } from "../error.ts";
import {
  auditStream,
  bucketStream,
  buckets,
  eventsStream,
  families,
  issuerInboxPrefix,
  requestKinds,
} from "../subjects.ts";

/** What a broker of Herald's is made of. */
export interface NatsServerOptions {
  /** Where to listen. Name an address, not everything, unless you mean it. */
  readonly host: string;
  /** -1 lets the kernel choose; see `portsFileDir`. */
  readonly port: number;
  readonly storeDir: string;
  readonly serverName: string;
  readonly tlsCertFile: string;
  readonly tlsKeyFile: string;
  /** `U...` of the issuers. */
  readonly issuerPublicNkey: string;
  /** `U...` of the nodes: one for all until nodes log in by their own SVIDs. */
  readonly nodePublicNkey: string;
  /** The server writes a file with its ports here. Defaults to none. */
  readonly portsFileDir?: string;
  /** Monitoring without any authentication, on the loopback address. Defaults to none. */
  readonly monitorPort?: number;
  /** Bytes that JetStream may use on disk. Defaults to the server's own choice (three quarters of what is free). */
  readonly maxFileStore?: number;
  /** Defaults to 65,536, the server's own. */
  readonly maxConnections?: number;
}

/** What a role may publish and subscribe to; everything else is denied. */
interface RolePermissions {
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
  /** May answer whoever asks, without a permission for their inboxes (NATS-11). */
  readonly responds: boolean;
}

/**
 * A node: four kinds of request, direct get by key of five buckets, heads, republished state and its inbox; nothing else (ND-16).
 * No JetStream API beyond the literal form of direct get: a consumer could publish for it (NATS-08), and the body form of
 * direct get names its keys where no permission looks (NATS-09). The node token is a wildcard while all nodes share one nkey.
 */
const nodePermissions: RolePermissions = {
  publish: [
    ...requestKinds.map((kind) => `herald.v1.req.${kind}.*.*`),
    ...nodeBuckets().map((bucket) => `$JS.API.DIRECT.GET.${bucketStream(bucket)}.$KV.${bucket}.>`),
  ],
  subscribe: [
    "_INBOX.*.>",
    "herald.v1.head.*",
    ...families
      .filter((family) => family.forNodes)
      .map((family) => `herald.v1.kv.${family.name}.>`),
  ],
  responds: false,
};

/**
 * An issuer: writes state, heads, events and audit, makes and inspects Herald's streams, tails the two logs. It may not delete or
 * purge anything, and not touch streams that are not Herald's.
 */
const issuerPermissions: RolePermissions = {
  publish: [
    "herald.v1.head.*",
    "herald.v1.evt.>",
    "herald.v1.audit.*",
    ...buckets.map((bucket) => `$KV.${bucket.name}.>`),
    "$JS.API.INFO",
    ...allStreams().flatMap((stream) => [
      `$JS.API.STREAM.INFO.${stream}`,
      `$JS.API.STREAM.CREATE.${stream}`,
      `$JS.API.STREAM.MSG.GET.${stream}`,
      `$JS.API.DIRECT.GET.${stream}`,
      `$JS.API.DIRECT.GET.${stream}.>`,
    ]),
    ...[eventsStream, auditStream].flatMap((stream) => [
      `$JS.API.CONSUMER.CREATE.${stream}.>`,
      `$JS.API.CONSUMER.INFO.${stream}.*`,
      `$JS.API.CONSUMER.DELETE.${stream}.*`,
      `$JS.API.CONSUMER.MSG.NEXT.${stream}.*`,
    ]),
  ],
  subscribe: [`${issuerInboxPrefix}.>`, "herald.v1.req.>"],
  responds: true,
};

/**
 * The configuration of a nats-server for Herald. What matters: acknowledged writes are on disk (`sync_interval: always`; the
 * default loses two minutes with the power), TLS begins before the first byte of NATS (TM-X-02), and nobody may do what is not listed.
 * @throws EventsError BUS_MISCONFIGURED
 */
export function natsServerConfig(options: NatsServerOptions): string {
  return `# Written by Herald; changes are overwritten.
server_name: ${quoted(options.serverName)}
listen: ${quoted(listenAddress(options))}
${options.portsFileDir === undefined ? "" : `ports_file_dir: ${quoted(options.portsFileDir)}\n`}${monitoring(options)}max_connections: ${whole(options.maxConnections ?? 65_536)}
max_payload: 1048576
# A node needs 8 subscriptions, an issuer 5 and its tails.
max_subscriptions: 64
max_control_line: 4096
ping_interval: "20s"
write_deadline: "10s"
lame_duck_duration: "30s"
lame_duck_grace_period: "2s"

tls {
  cert_file: ${quoted(options.tlsCertFile)}
  key_file: ${quoted(options.tlsKeyFile)}
  min_version: "1.3"
  handshake_first: true
  timeout: 2
}

jetstream {
  store_dir: ${quoted(options.storeDir)}
  sync_interval: always
${options.maxFileStore === undefined ? "" : `  max_file_store: ${whole(options.maxFileStore)}\n`}}

authorization {
  timeout: 3
  users: [
    { nkey: ${nkey(options.issuerPublicNkey)}, permissions: ${rendered(issuerPermissions)} }
    { nkey: ${nkey(options.nodePublicNkey)}, permissions: ${rendered(nodePermissions)} }
  ]
}
`;
}

function nodeBuckets(): readonly string[] {
  return families.filter((family) => family.forNodes).map((family) => family.bucket);
}

function allStreams(): readonly string[] {
  return [...buckets.map((bucket) => bucketStream(bucket.name)), eventsStream, auditStream];
}

function rendered(role: RolePermissions): string {
  const list = (subjects: readonly string[]): string =>
    `[\n${subjects.map((subject) => `        ${quoted(subject)}`).join("\n")}\n      ]`;
  const responses = role.responds ? '\n      allow_responses: { max: 50, expires: "30s" }' : "";
  return `{
      publish: { allow: ${list(role.publish)} }
      subscribe: { allow: ${list(role.subscribe)} }${responses}
    }`;
}

function listenAddress(options: NatsServerOptions): string {
  const port = whole(options.port);
  return isIP(options.host) === 6 ? `[${options.host}]:${port}` : `${options.host}:${port}`;
}

function monitoring(options: NatsServerOptions): string {
  return options.monitorPort === undefined
    ? ""
    : `http: "127.0.0.1:${whole(options.monitorPort)}"\n`;
}

// The file's strings know \" and \\ but no other escapes that we would need, so nothing else gets in.
function quoted(text: string): string {
  if (/\p{Cc}/u.test(text)) {
    throw new EventsError(
      "BUS_MISCONFIGURED",
      `${JSON.stringify(text)} holds control characters and cannot stand in nats-server.conf`,
    );
  }
  return `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
}

function nkey(publicKey: string): string {
  if (!/^U[A-Z2-7]{55}$/.test(publicKey)) {
    throw new EventsError(
      "BUS_MISCONFIGURED",
      // Not shown: the likeliest mistake is a seed.
      `that is no public user nkey (U and 55 characters; it begins with "${publicKey.slice(0, 1)}" and has ${publicKey.length}); a seed must never be here`,
    );
  }
  return publicKey;
}

function whole(number: number): number {
  if (!Number.isSafeInteger(number)) {
    throw new EventsError("BUS_MISCONFIGURED", `${number} is no whole number`);
  }
  return number;
}
