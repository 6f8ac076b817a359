import { trustDomainToken } from "../core/envelope/object-keys.ts";
import type { RequestKind } from "./bus.ts";
import { EventsError } from "./error.ts";

/** A family of objects and where it lives. */
export interface Family {
  readonly name: string;
  readonly bucket: string;
  /** Nodes may read it by direct get and hear it republished. */
  readonly forNodes: boolean;
  /** Families that share a bucket keep their name in the KV key. */
  readonly keyKeepsFamily: boolean;
}

/** A KV bucket: which families it holds, and how many past values of a key. */
export interface Bucket {
  readonly name: string;
  /** Past values are for people with a broken fleet; Herald itself reads the newest only (ND-23). */
  readonly history: number;
  /** Republished by the server under this family's subjects, so nodes need no consumer (ND-02). */
  readonly republishedAs?: string;
}

const forNodes = (name: string, bucket: string): Family => ({
  name,
  bucket,
  forNodes: true,
  keyKeepsFamily: false,
});
const forIssuers = (name: string, bucket: string, keyKeepsFamily: boolean): Family => ({
  name,
  bucket,
  forNodes: false,
  keyKeepsFamily,
});

/** All families of objects. */
export const families: readonly Family[] = [
  forNodes("control", "HB_CONTROL"),
  forNodes("bundle", "HB_BUNDLE"),
  forNodes("rev", "HB_REV"),
  forNodes("group", "HB_GROUP"),
  forNodes("node", "HB_NODE"),
  forIssuers("entry", "HB_ENTRY", false),
  forIssuers("token", "HB_TOKEN", false),
  forIssuers("set", "HB_SET", true),
  forIssuers("page", "HB_SET", true),
  forIssuers("record", "HB_ISSUER", true),
  forIssuers("authority", "HB_ISSUER", true),
  forIssuers("rotation", "HB_ISSUER", true),
  forIssuers("term", "HB_ISSUER", true),
  forIssuers("revoked", "HB_ISSUER", true),
];

/** All KV buckets; the first five are what nodes read. */
export const buckets: readonly Bucket[] = [
  { name: "HB_CONTROL", history: 5, republishedAs: "control" },
  { name: "HB_BUNDLE", history: 5, republishedAs: "bundle" },
  { name: "HB_REV", history: 1, republishedAs: "rev" },
  { name: "HB_GROUP", history: 1, republishedAs: "group" },
  { name: "HB_NODE", history: 1, republishedAs: "node" },
  { name: "HB_ENTRY", history: 10 },
  { name: "HB_SET", history: 1 },
  { name: "HB_TOKEN", history: 1 },
  { name: "HB_ISSUER", history: 5 },
];

/** The log of events for services. */
export const eventsStream = "HB_EVENTS" as const;
/** The log of all issuers' audit chains. */
export const auditStream = "HB_AUDIT" as const;
/** What the log of events keeps. */
export const eventsSubjects = "herald.v1.evt.>" as const;
/** What the audit log keeps. */
export const auditSubjects = "herald.v1.audit.>" as const;

/** What nodes may ask; each kind is a subject of its own so that it can be permitted on its own. */
export const requestKinds: readonly RequestKind[] = ["sign", "renew", "state", "ack"];

/** The only region of the first release; the token is in the subject so that more can come (ND-33). */
const region = "main" as const;

/** Issuers share requests through this queue group (ND-33). */
export const issuerQueue = "issuer" as const;

/** Answers to issuers come here: out of the nodes' `_INBOX.*.>`, who could read JetStream's answers there (NATS-10). */
export const issuerInboxPrefix = "_INBOX_ISSUER" as const;

/** Values beyond this are refused before they are sent: the broker's own limit is 1 MiB with headers (ND-11). */
export const maxObjectBytes: number = 900 * 1024;

const namePattern = /^[a-z0-9-]+(\.[a-z0-9-]+)*$/;
const tokenPattern = /^[a-z0-9-]+$/;
// NATS refuses control lines above 4,096 bytes; a bucket's prefix and a reply subject must fit beside the key.
const maxKeyLength = 512;

/** An object key split into its family and its name. @throws EventsError BUS_BAD_KEY */
export function parseKey(key: string): { readonly family: Family; readonly name: string } {
  const dot = key.indexOf(".");
  const family = families.find((known) => known.name === key.slice(0, Math.max(0, dot)));
  const name = key.slice(dot + 1);
  if (family === undefined || key.length > maxKeyLength || !namePattern.test(name)) {
    throw new EventsError(
      "BUS_BAD_KEY",
      `"${key}" is no object key: it must be <family>.<name> with tokens of a-z, 0-9 and - (families: ${families.map((known) => known.name).join(", ")})`,
    );
  }
  return { family, name };
}

/** The stream behind a bucket. */
export function bucketStream(bucket: string): string {
  return `KV_${bucket}`;
}

/** The subject that an object is stored under. @throws EventsError BUS_BAD_KEY */
export function storedSubject(key: string): string {
  const { family, name } = parseKey(key);
  return `$KV.${family.bucket}.${family.keyKeepsFamily ? key : name}`;
}

/** The API subject whose answer is the newest message of an object; names the key, so it can be permitted per key (NATS-09). @throws EventsError BUS_BAD_KEY */
export function directGetSubject(key: string): string {
  return `$JS.API.DIRECT.GET.${bucketStream(parseKey(key).family.bucket)}.${storedSubject(key)}`;
}

/** The key of an object by the subject it is stored under; undefined for anything that is not Herald's. */
export function keyOfStored(subject: string): string | undefined {
  const [kv, bucket, ...rest] = subject.split(".");
  if (kv !== "$KV" || rest.length === 0) return undefined;
  const name = rest.join(".");
  const sharing = families.filter((family) => family.bucket === bucket);
  const key =
    sharing.length === 1 && sharing[0] !== undefined ? `${sharing[0].name}.${name}` : name;
  return knownKey(key, (family) => family.bucket === bucket);
}

/** What the server republishes an object of a node's families under. @throws EventsError BUS_BAD_KEY */
export function republishedSubject(key: string): string {
  const { family } = parseKey(key);
  if (!family.forNodes) {
    throw new EventsError("BUS_BAD_KEY", `"${key}" is for issuers only and never republished`);
  }
  return `herald.v1.kv.${key}`;
}

/** The key in a republished subject; undefined for anything else. */
export function keyOfRepublished(subject: string): string | undefined {
  const prefix = "herald.v1.kv.";
  if (!subject.startsWith(prefix)) return undefined;
  return knownKey(subject.slice(prefix.length), (family) => family.forNodes);
}

function knownKey(key: string, fits: (family: Family) => boolean): string | undefined {
  const family = families.find((known) => key.startsWith(`${known.name}.`));
  const name = key.slice(key.indexOf(".") + 1);
  const known = family !== undefined && fits(family) && namePattern.test(name);
  return known && key.length <= maxKeyLength ? key : undefined;
}

/** Where the heads of a trust domain are broadcast. */
export function headSubject(trustDomain: string): string {
  return `herald.v1.head.${trustDomainToken(trustDomain)}`;
}

/** Where a node asks; `node` is its `token26`. @throws EventsError BUS_BAD_KEY */
export function requestSubject(kind: RequestKind, node: string): string {
  return `herald.v1.req.${kind}.${region}.${checkedToken(node)}`;
}

/** What an issuer listens to for one kind of request, from all nodes of its region. */
export function requestFilter(kind: RequestKind): string {
  return `herald.v1.req.${kind}.${region}.*`;
}

/** Kind and node of a request by its subject; undefined if it is none. */
export function parseRequestSubject(
  subject: string,
): { readonly kind: RequestKind; readonly node: string } | undefined {
  const match = /^herald\.v1\.req\.([a-z]+)\.main\.([a-z0-9-]+)$/.exec(subject);
  const kind = requestKinds.find((known) => known === match?.[1]);
  const node = match?.[2];
  return kind === undefined || node === undefined ? undefined : { kind, node };
}

/** Where events of a type are published; `type` is dotted, such as `svid.rotated`. @throws EventsError BUS_BAD_KEY */
export function eventSubject(type: string, trustDomain: string): string {
  if (!namePattern.test(type) || type.split(".").length > 4) {
    throw new EventsError(
      "BUS_BAD_KEY",
      `"${type}" is no event type: use up to four dotted tokens of a-z, 0-9 and - (ND-08)`,
    );
  }
  return `herald.v1.evt.${type}.${trustDomainToken(trustDomain)}`;
}

/** Where an issuer's audit chain is kept. @throws EventsError BUS_BAD_KEY */
export function auditSubject(issuer: string): string {
  return `herald.v1.audit.${checkedToken(issuer)}`;
}

/** The inbox prefix of a node: replies to it go nowhere else (NATS-10). @throws EventsError BUS_BAD_KEY */
export function nodeInboxPrefix(node: string): string {
  return `_INBOX.${checkedToken(node)}`;
}

/** All that a node listens to: heads of its domain, the objects for everybody, and its own manifest with its pages. */
export function nodeSubscriptions(node: string, trustDomain: string): readonly string[] {
  return [
    headSubject(trustDomain),
    ...families
      .filter((family) => family.forNodes && family.name !== "node")
      .map((family) => `herald.v1.kv.${family.name}.>`),
    `herald.v1.kv.node.${checkedToken(node)}`,
    `herald.v1.kv.node.${checkedToken(node)}.>`,
  ];
}

function checkedToken(token: string): string {
  if (!tokenPattern.test(token)) {
    throw new EventsError("BUS_BAD_KEY", `"${token}" is no subject token: use a-z, 0-9 and -`);
  }
  return token;
}
