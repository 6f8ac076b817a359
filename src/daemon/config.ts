import { readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { z } from "zod";
import { parseTrustDomain, type TrustDomain } from "../core/spiffe/spiffe-id.ts";
import type { KeyType } from "../core/x509/key-type.ts";
import { reasonOf } from "../kit/errors.ts";
import { type AdminTlsConfig, adminTlsSection } from "./admin-tls-config.ts";
import { type AdmissionConfig, admissionSection } from "./admission-config.ts";
import {
  type AttestorsConfig,
  attestorConfig,
  attestorSection,
  attestorsConfig,
  attestorsSection,
  type X509PopConfig,
} from "./attestors-config.ts";
import { type AuditConfig, auditConfig, auditSection } from "./audit-config.ts";
import { authoritiesSection } from "./authorities-config.ts";
import { ConfigError, ConfigSource } from "./config-error.ts";
import { duration, field, list, oneOf, path, section } from "./config-fields.ts";
import { type KeysConfig, keysConfig, keysSection, keyType } from "./keys-config.ts";
import { type NodeRevocationConfig, nodeRevocationSection } from "./node-revocation-config.ts";
import {
  leastCrlLifeMs,
  type RevocationConfig,
  revocationConfig,
  revocationSections,
} from "./revocation-config.ts";
import { type UpstreamConfig, upstreamConfig, upstreamSection } from "./upstream-config.ts";

/** Where to listen. */
export interface HostPort {
  /** Without brackets. */
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
}

type LogLevel = "debug" | "info" | "warn" | "error";

/** What `herald issuer --config` runs by; every path is absolute. */
export interface IssuerConfig {
  readonly trustDomain: TrustDomain;
  /** Keys, journal and the copy of all signed state. */
  readonly dir: string;
  readonly nats: {
    /** `tls://host:port` */
    readonly servers: readonly string[];
    /** SHA-256 of the broker's public keys, lower-case hex: current and next. */
    readonly pins: readonly string[];
    /** Holds the nkey seed of issuers. */
    readonly seedFile: string;
    /** Holds the nkey seed that enrolling nodes are given. */
    readonly nodeSeedFile: string;
  };
  readonly enrolment: {
    readonly listen: HostPort;
    /** What nodes are told; without a trailing slash. With port 0 it holds ":0" and the listener's own must be used. */
    readonly url: string;
  };
  readonly admin: {
    readonly socket: string;
    /** Name or gid of a group allowed beside root and the issuer's own user. */
    readonly group: string | number | undefined;
    readonly tls: AdminTlsConfig | undefined;
  };
  readonly admission: AdmissionConfig;
  /** Metrics and health. */
  readonly http: { readonly listen: HostPort };
  readonly root: "online" | "offline";
  readonly headIntervalMs: number;
  readonly nodeTtlSeconds: number;
  readonly x509TtlSeconds: number;
  readonly maxX509TtlSeconds: number;
  readonly authorityLifetimeMs: number;
  /** So long a rotation waits for a silent node. */
  readonly lostAfterMs: number;
  readonly keys: KeysConfig;
  /** Of authorities to come. */
  readonly keyType: KeyType;
  readonly upstream: UpstreamConfig;
  readonly revocation: RevocationConfig;
  readonly attestors: AttestorsConfig;
  readonly audit: AuditConfig;
  readonly log: { readonly level: LogLevel };
}

/** What `herald node --config` runs by; every path is absolute. */
export interface NodeConfig {
  readonly trustDomain: TrustDomain;
  readonly dir: string;
  /** Its name in the trust domain; the join token is for this name. */
  readonly name: string;
  /** Workload API and SDS. */
  readonly socket: string;
  /** As chmod takes it: 0o777. */
  readonly socketMode: number;
  /** Without a trailing slash. */
  readonly issuerUrls: readonly string[];
  readonly joinFile: string | undefined;
  /** Undefined: it joins by a join string. */
  readonly attestor: X509PopConfig | undefined;
  readonly cache: "sealed" | "plain" | "off";
  readonly cacheKeyFile: string;
  readonly http: { readonly listen: HostPort };
  readonly sds: {
    /** Empty ones are switched off. */
    readonly defaultSvidName: string;
    readonly defaultBundleName: string;
    readonly defaultAllBundlesName: string;
    readonly disableSpiffeCertValidation: boolean;
  };
  readonly revocation: NodeRevocationConfig;
  readonly log: { readonly level: LogLevel };
}

/** A file of either kind, told apart by the keys that only one of them has. */
export type AnyConfig =
  | { readonly kind: "issuer"; readonly config: IssuerConfig }
  | { readonly kind: "node"; readonly config: NodeConfig };

const second = 1000;
/** What fits into sockaddr_un with its closing zero (unix(7)). */
const longestSocketPath = 107;

/** `127.0.0.1:8443`, `[::1]:8443`, `localhost:0`; undefined for anything else. */
export function parseHostPort(text: string): HostPort | undefined {
  const [, v6, name, digits] =
    /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = v6 ?? name;
  const port = Number(digits);
  return host === undefined || port > 65_535 ? undefined : { host, port };
}

/** The address as a URL has it: brackets around IPv6. */
export function formatHostPort(address: HostPort): string {
  return `${address.host.includes(":") ? `[${address.host}]` : address.host}:${address.port}`;
}

function httpsUrl(text: string): string | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isPlain = url?.protocol === "https:" && url.username + url.search + url.hash === "";
  return isPlain ? url.href.replace(/\/+$/, "") : undefined;
}

function isGroup(value: unknown): boolean {
  if (typeof value === "number") return Number.isSafeInteger(value) && value >= 0;
  return typeof value === "string" && /^[a-z_][a-z0-9_-]*$/.test(value);
}

function fitsSocket(file: string): boolean {
  return Buffer.byteLength(file) <= longestSocketPath;
}

const trustDomain = field("a trust domain, such as example.org", parseTrustDomain);
const listen = field("HOST:PORT, such as 127.0.0.1:8443", parseHostPort);
const url = field("an https:// URL, such as https://issuer.example.org:8443", httpsUrl);
const server = field("tls://HOST:PORT", (text) =>
  text.startsWith("tls://") && parseHostPort(text.slice(6)) !== undefined ? text : undefined,
);
const pin = field("the SHA-256 of the broker's public key, 64 lower-case hex digits", (text) =>
  /^[0-9a-f]{64}$/.test(text) ? text : undefined,
);
const http = section({ listen: listen.default({ host: "127.0.0.1", port: 0 }) }).prefault({});
const log = section({ level: oneOf("debug", "info", "warn", "error").default("info") }).prefault(
  {},
);
const aliasName = z.string({ error: 'must be text; write a name, or "" to switch it off' });

const issuerFile = section({
  trustDomain,
  dir: path.default("."),
  nats: section({
    servers: list(server, '["tls://127.0.0.1:4222"]'),
    pins: list(pin, "the broker's pin, as `herald init` printed it"),
    seedFile: path,
    nodeSeedFile: path,
  }),
  enrolment: section({ listen, url: url.optional() }),
  admin: section({
    socket: path.optional(),
    group: z
      .custom<string | number>(isGroup, {
        error: "is neither a group's name nor a gid; write, for instance, herald-admin or 1000",
      })
      .optional(),
    tls: adminTlsSection.optional(),
  }).prefault({}),
  admission: admissionSection,
  http,
  root: oneOf("online", "offline").default("online"),
  headInterval: duration("1s", "10m").prefault("15s"),
  nodeTtl: duration("1s", "90d").prefault("24h"),
  x509Ttl: duration("1s", "90d").prefault("1h"),
  maxX509Ttl: duration("1s", "90d").prefault("24h"),
  authorityLifetime: duration("1m", "3650d").prefault("30d"),
  authorities: authoritiesSection,
  keys: keysSection,
  keyType,
  upstream: upstreamSection,
  ...revocationSections({ section, duration }),
  attestors: attestorsSection,
  audit: auditSection,
  log,
}).superRefine((file, context) => {
  const order = [
    ["x509Ttl", "maxX509Ttl"],
    ["maxX509Ttl", "authorityLifetime"],
    ["nodeTtl", "authorityLifetime"],
  ] as const;
  for (const [shorter, longer] of order) {
    if (file[shorter] <= file[longer]) continue;
    const message = `is longer than ${longer}; shorten it or lengthen ${longer}`;
    context.addIssue({ code: "custom", path: [shorter], message });
  }
  const { nextUpdate } = file.revocation;
  if (nextUpdate !== undefined && nextUpdate < leastCrlLifeMs(longestLife(file))) {
    const message = "is less than twice maxX509Ttl or nodeTtl; lengthen it or shorten those";
    context.addIssue({ code: "custom", path: ["revocation", "nextUpdate"], message });
  }
});

function longestLife(file: { readonly maxX509Ttl: number; readonly nodeTtl: number }): number {
  return Math.max(file.maxX509Ttl, file.nodeTtl);
}

const nodeFile = section({
  trustDomain,
  dir: path,
  name: field("this node's name, 1 to 64 of a-z, 0-9 and -", (text) =>
    /^[a-z0-9-]{1,64}$/.test(text) ? text : undefined,
  ),
  socket: path.default("/run/herald/herald.sock"),
  socketMode: field('an octal mode, such as "0777"', (text) =>
    /^0?[0-7]{3}$/.test(text) ? Number.parseInt(text, 8) : undefined,
  ).default(0o777),
  issuerUrls: list(url, '["https://issuer.example.org:8443"]'),
  joinFile: path.optional(),
  attestor: attestorSection,
  cache: oneOf("sealed", "plain", "off").default("sealed"),
  cacheKeyFile: path.default("/run/herald/cache.key"),
  http,
  sds: section({
    defaultSvidName: aliasName.default("default"),
    defaultBundleName: aliasName.default("ROOTCA"),
    defaultAllBundlesName: aliasName.default("ALL"),
    disableSpiffeCertValidation: z.boolean({ error: "must be true or false" }).default(false),
  }).prefault({}),
  revocation: nodeRevocationSection,
  log,
});

/** The issuer's configuration with every default filled in. @throws {ConfigError} */
export function loadIssuerConfig(file: string): IssuerConfig {
  return issuerConfig(readSource(file));
}

/** A node's configuration with every default filled in. @throws {ConfigError} */
export function loadNodeConfig(file: string): NodeConfig {
  return nodeConfig(readSource(file));
}

/** For `herald config check`, which is not told what a file is for. @throws {ConfigError} */
export function loadAnyConfig(file: string): AnyConfig {
  const source = readSource(file);
  return source.has("nats") || source.has("enrolment")
    ? { kind: "issuer", config: issuerConfig(source) }
    : { kind: "node", config: nodeConfig(source) };
}

function readSource(file: string): ConfigSource {
  try {
    return new ConfigSource(file, readFileSync(file, "utf8"));
  } catch (cause) {
    if (cause instanceof ConfigError) throw cause;
    const message = `${file} cannot be read (${reasonOf(cause)}); give the path of a configuration file`;
    throw new ConfigError("CONFIG_UNREADABLE", { path: file, problems: [] }, { cause, message });
  }
}

function issuerConfig(source: ConfigSource): IssuerConfig {
  const file = source.check(issuerFile);
  const at = (relative: string): string => resolve(dirname(source.path), relative);
  const dir = at(file.dir);
  const socket = file.admin.socket === undefined ? join(dir, "admin.sock") : at(file.admin.socket);
  if (!fitsSocket(socket)) throw source.refuse(["admin", "socket"], tooLong(socket));
  return {
    trustDomain: file.trustDomain,
    dir,
    nats: {
      ...file.nats,
      seedFile: at(file.nats.seedFile),
      nodeSeedFile: at(file.nats.nodeSeedFile),
    },
    enrolment: {
      listen: file.enrolment.listen,
      url: file.enrolment.url ?? `https://${formatHostPort(file.enrolment.listen)}`,
    },
    admin: { socket, group: file.admin.group, tls: file.admin.tls },
    admission: file.admission,
    http: file.http,
    root: file.root,
    headIntervalMs: file.headInterval,
    nodeTtlSeconds: Math.ceil(file.nodeTtl / second),
    x509TtlSeconds: Math.ceil(file.x509Ttl / second),
    maxX509TtlSeconds: Math.ceil(file.maxX509Ttl / second),
    authorityLifetimeMs: file.authorityLifetime,
    lostAfterMs: file.authorities.lostAfter,
    keys: keysConfig(file.keys, at),
    keyType: file.keyType,
    upstream: upstreamConfig(file.upstream, at),
    revocation: revocationConfig(file, longestLife(file)),
    attestors: attestorsConfig(file.attestors, at),
    audit: auditConfig(file.audit, at),
    log: file.log,
  };
}

function nodeConfig(source: ConfigSource): NodeConfig {
  const file = source.check(nodeFile);
  const at = (relative: string): string => resolve(dirname(source.path), relative);
  const socket = at(file.socket);
  if (!fitsSocket(socket)) throw source.refuse(["socket"], tooLong(socket));
  return {
    ...file,
    dir: at(file.dir),
    socket,
    joinFile: file.joinFile === undefined ? undefined : at(file.joinFile),
    attestor: attestorConfig(file.attestor, at),
    cacheKeyFile: at(file.cacheKeyFile),
  };
}

function tooLong(socket: string): string {
  return `${socket} has more than ${longestSocketPath} bytes, which no Unix socket may (unix(7)); choose a shorter path`;
}
