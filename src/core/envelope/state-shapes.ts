import { z } from "zod";
import type { Entry, NodeSelection } from "../policy/entry.ts";
import type { AuthorityState, RotationState } from "./authority-payloads.ts";
import {
  base64,
  count,
  digest,
  selector,
  spiffeId,
  text,
  time,
  token,
  trustDomain,
  uint64,
  version,
} from "./fields.ts";
import type {
  BundleState,
  ControlCertificate,
  EntryPageState,
  EntrySetState,
  EntryState,
  EpochState,
  GroupIndexState,
  Head,
  ManifestState,
  NodeKey,
  NodeRecordState,
  RevocationsState,
  RevokedRow,
  RevokedState,
  TermState,
  TokenState,
} from "./payloads.ts";
import { zeroVersion } from "./version.ts";

/** The written shape of state objects and heads. Unknown members are refused: an old reader must not half-understand a new writer. */

const key = z.string().regex(/^[a-z]+\.[a-z0-9-]{1,64}$/);
const labels = z.record(z.string().max(128), z.string().max(256));
const stamped = { td: trustDomain, at: time };
const stateObject = { ...stamped, key, version };

const nodeSelection: z.ZodType<NodeSelection> = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("all") }),
  z.strictObject({ kind: z.literal("ids"), ids: z.array(spiffeId).min(1) }),
  z.strictObject({ kind: z.literal("labels"), labels }),
]);

/** Members with a default were added after the first release: entries that were signed without them stay readable. */
const entry: z.ZodType<Entry> = z.strictObject({
  id: token,
  revision: uint64,
  spiffeId,
  template: text.default(""),
  nodes: nodeSelection,
  selectors: z.array(selector).min(1),
  x509TtlSeconds: z.number().int().min(1),
  jwtTtlSeconds: z.number().int().min(1).default(300),
  dnsNames: z.array(text),
  federatesWith: z.array(trustDomain).default([]),
  hint: z.string().max(1024),
  admin: z.boolean().default(false),
  priority: z.number().int(),
  allowedPeers: z.array(text).default([]),
  expiresAt: time.default(0),
  keepWarm: z.boolean().default(true),
  name: z.string().max(128).default(""),
  set: z.string().max(128).default(""),
  createdAt: time,
});

const nodeKey: z.ZodType<NodeKey> = z.strictObject({ keyId: digest, spki: base64 });

export const controlCertificate: z.ZodType<ControlCertificate> = z.strictObject({
  ...stamped,
  issuer: spiffeId,
  publicKey: base64,
  notBefore: time,
  notAfter: time,
});

export const epochState: z.ZodType<EpochState> = z.strictObject({
  ...stateObject,
  revokedKeys: z.array(digest),
});

export const bundleState: z.ZodType<BundleState> = z.strictObject({
  ...stateObject,
  document: z.string(),
  revocations: version,
  activeAuthority: z.string().regex(/^[0-9a-f]{0,128}$/),
  taintedAuthorities: z.array(z.string().regex(/^[0-9a-f]{1,128}$/)).default([]),
  brokerPins: z.array(digest),
});

export const revocationsState: z.ZodType<RevocationsState> = z.strictObject({
  ...stateObject,
  crls: z.array(base64),
});

const revokedRow: z.ZodType<RevokedRow> = z.tuple([
  z.string().regex(/^(?:[0-9a-f]{2}){8,20}$/),
  count,
  count,
  z.number().int().min(0).max(10),
]);

export const revokedState: z.ZodType<RevokedState> = z.strictObject({
  ...stateObject,
  authorities: z.record(token, z.array(revokedRow)),
});

export const groupIndexState: z.ZodType<GroupIndexState> = z.strictObject({
  ...stateObject,
  entries: z.array(entry),
  pages: z.array(z.strictObject({ key, sha256: digest })),
});

/** A page of the group index: bare JSON, since the signed index holds its hash. */
export const groupPage: z.ZodType<readonly Entry[]> = z.array(entry);

export const manifestState: z.ZodType<ManifestState> = z.strictObject({
  ...stateObject,
  node: spiffeId,
  labels,
  banned: z.boolean(),
  entries: z.array(entry),
  goesWith: version.default(zeroVersion),
  before: z.array(entry).default([]),
});

export const entryState: z.ZodType<EntryState> = z.strictObject({
  ...stateObject,
  entry: entry.nullable(),
});

export const entryPageState: z.ZodType<EntryPageState> = z.strictObject({
  ...stateObject,
  set: z.string().max(128),
  entries: z.array(entry),
});

export const entrySetState: z.ZodType<EntrySetState> = z.strictObject({
  ...stateObject,
  set: z.string().max(128),
  pages: z.array(z.strictObject({ key, version })),
});

export const tokenState: z.ZodType<TokenState> = z.strictObject({
  ...stateObject,
  token,
  publicKey: base64,
  expires: time,
  nodeName: token,
  replaces: z.boolean(),
  labels,
  usedBy: digest.nullable(),
});

export const nodeRecordState: z.ZodType<NodeRecordState> = z.strictObject({
  ...stateObject,
  node: spiffeId,
  current: nodeKey,
  next: nodeKey.nullable(),
  retired: z.array(digest),
  labels,
  banned: z.boolean(),
  enrolledAt: time,
  expiresAt: time,
  evictedAt: time.optional(),
});

export const authorityState: z.ZodType<AuthorityState> = z.strictObject({
  ...stateObject,
  authority: token,
  status: z.enum(["prepared", "active", "old", "tainted", "revoked", "expired"]),
  certificate: base64,
  chain: z.array(base64),
  anchors: z.array(base64).min(1),
  notAfter: time,
  retiredAt: time.default(0),
  mintedUntil: time.default(0),
});

const rotationStep = z.enum(["prepare", "reissue", "remove", "done", "aborted"]);

/** What the first release did not write has a default: an issuer reads its own journal after an upgrade. */
export const rotationState: z.ZodType<RotationState> = z.strictObject({
  ...stateObject,
  rotation: token,
  kind: z.enum(["rotate", "activate", "revoke"]).default("rotate"),
  step: rotationStep,
  from: token,
  to: token,
  startedAt: time,
  stepAt: time.default(0),
  gateFrom: version.nullable().default(null),
  taints: z.boolean().default(false),
  paused: z.boolean().default(false),
  past: z.array(spiffeId).default([]),
  passed: z
    .array(
      z.strictObject({
        node: spiffeId,
        step: rotationStep,
        why: z.enum(["lost", "by hand", "forced", "out of time"]),
      }),
    )
    .default([]),
});

export const termState: z.ZodType<TermState> = z.strictObject({
  ...stateObject,
  issuer: spiffeId,
  boot: token,
});

export const head: z.ZodType<Head> = z.strictObject({
  ...stamped,
  epoch: uint64,
  term: uint64,
  n: uint64,
  objects: z.record(key, z.strictObject({ version, digest })),
  merkleRoot: digest,
  viewEveryMs: count,
  ackSpreadMs: count,
  expires: time,
  audit: z.strictObject({ issuer: spiffeId, n: uint64, digest }).optional(),
});
