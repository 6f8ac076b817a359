import type { Kind, Payloads } from "../../../../src/core/envelope/kinds.ts";
import {
  bundleKey,
  controlKey,
  entryPageKey,
  entrySetKey,
  groupIndexKey,
  manifestKey,
  revocationsKey,
  revokedKey,
  rotationKey,
  termKey,
} from "../../../../src/core/envelope/object-keys.ts";
import { spkiOf } from "../../../../src/core/envelope/signers.ts";
import type { Entry } from "../../../../src/core/policy/entry.ts";
import { parseSelector } from "../../../../src/core/spiffe/selector.ts";
import { parseSpiffeId, parseTrustDomain } from "../../../../src/core/spiffe/spiffe-id.ts";
import { controlKeyPair, now, pin, tokenKey, trustDomain } from "./keys.ts";

/** One payload of each kind. Binary members are not what they name (no certificate is one): envelopes do not look into them. */

export const node: ReturnType<typeof parseSpiffeId> = parseSpiffeId(
  "spiffe://example.org/herald/node/join_token/web-1",
);
const issuer = parseSpiffeId("spiffe://example.org/herald/issuer/test");
const td = trustDomain;
const at = now;
const version = { epoch: 1n, term: 2n, seq: 4_100n };
const stamped = { td, at };
const der = Buffer.from("3003020101", "hex").toString("base64");
const hash = (letter: string): string => letter.repeat(64);
const nodeRequest = { ...stamped, id: "q7k2f4", node };
const reply = { ...stamped, request: hash("a") };
const highest = { epoch: 1n, term: 2n, n: 3n };
const bus = { servers: ["tls://broker:4222"], brokerPins: [hash("b")] };

export const entry: Entry = {
  id: "web",
  revision: 4_099n,
  spiffeId: parseSpiffeId("spiffe://example.org/web"),
  nodes: { kind: "labels", labels: { zone: "eu-1" } },
  selectors: [parseSelector("unix:uid:1000"), parseSelector("unix:path:/usr/bin/envoy")],
  template: "",
  x509TtlSeconds: 3600,
  jwtTtlSeconds: 300,
  dnsNames: ["web.example.org"],
  federatesWith: [parseTrustDomain("partner.example")],
  hint: "internal",
  admin: false,
  priority: 10,
  allowedPeers: ["spiffe://example.org/db/*"],
  expiresAt: 0,
  keepWarm: true,
  name: "web",
  set: "",
  createdAt: at,
};

const nodeKey = { keyId: hash("c"), spki: der };
const object = { ...stamped, version };
const purpose = {
  kind: "caller",
  selectors: [parseSelector("unix:uid:1000")],
  pid: 4242,
} as const;

const stateSamples = {
  control: {
    ...stamped,
    issuer,
    publicKey: spkiOf(controlKeyPair).toString("base64"),
    notBefore: at,
    notAfter: at + 1,
  },
  epoch: {
    ...stamped,
    key: controlKey,
    version: { epoch: 1n, term: 0n, seq: 1n },
    revokedKeys: [hash("d")],
  },
  bundle: {
    ...object,
    key: bundleKey(td),
    document: '{"keys":[],"spiffe_sequence":4294971396}',
    revocations: { epoch: 1n, term: 2n, seq: 4_097n },
    activeAuthority: "00ff".repeat(10),
    taintedAuthorities: ["ff00".repeat(10)],
    brokerPins: [hash("b")],
  },
  revocations: { ...object, key: revocationsKey(td), crls: [der] },
  revoked: {
    ...object,
    key: revokedKey,
    authorities: { a1: [["40".repeat(16), 1_794_000_000, 1_794_003_600, 1]] },
  },
  "group-index": {
    ...object,
    key: groupIndexKey,
    entries: [entry],
    pages: [{ key: "group.abcdefghijklmnopqrstuvwxyz", sha256: hash("e") }],
  },
  manifest: {
    ...object,
    key: manifestKey(node),
    node,
    labels: { zone: "eu-1" },
    banned: false,
    entries: [{ ...entry, nodes: { kind: "ids", ids: [node] } }],
    goesWith: version,
    before: [],
  },
  "entry-page": {
    ...object,
    key: entryPageKey("shop", 0),
    set: "shop",
    entries: [{ ...entry, set: "shop" }],
  },
  "entry-set": {
    ...object,
    key: entrySetKey("shop"),
    set: "shop",
    pages: [{ key: entryPageKey("shop", 0), version }],
  },
  entry: { ...object, key: "entry.web", entry },
  token: {
    ...object,
    key: "token.t1",
    token: "t1",
    publicKey: spkiOf(tokenKey).toString("base64"),
    expires: at + 600_000,
    nodeName: "web-1",
    replaces: false,
    labels: {},
    usedBy: null,
  },
  "node-record": {
    ...object,
    key: "record.abc",
    node,
    current: nodeKey,
    next: null,
    retired: [hash("f")],
    labels: {},
    banned: false,
    enrolledAt: at,
    expiresAt: at + 1,
  },
  authority: {
    ...object,
    key: "authority.a1",
    authority: "a1",
    status: "active",
    certificate: der,
    chain: [der],
    anchors: [der],
    notAfter: at + 1,
    retiredAt: 0,
    mintedUntil: 0,
  },
  "rotation-progress": {
    ...object,
    key: rotationKey,
    rotation: "r1",
    kind: "rotate",
    step: "reissue",
    from: "a1",
    to: "a2",
    startedAt: at,
    stepAt: at,
    gateFrom: version,
    taints: false,
    paused: true,
    past: [node],
    passed: [{ node, step: "prepare", why: "lost" }],
  },
  term: { ...object, key: termKey, issuer, boot: "b1" },
  head: {
    ...stamped,
    ...highest,
    objects: { [bundleKey(td)]: { version, digest: hash("1") } },
    merkleRoot: hash("2"),
    viewEveryMs: 30_000,
    ackSpreadMs: 1000,
    expires: at + 45_000,
    audit: { issuer, n: 41n, digest: hash("8") },
  },
} satisfies Partial<Payloads>;

const exchangeSamples = {
  "enrol-request": {
    ...stamped,
    token: "t1",
    nodeName: "web-1",
    pin,
    nonce: "n1",
    csr: der,
    sealingKey: der,
  },
  "x509pop-enrol-request": {
    ...stamped,
    certificate: hash("7"),
    pin,
    nonce: "n1",
    csr: der,
    sealingKey: der,
  },
  "enrol-reply": { ...reply, node, chain: [der], bus, sealedBusSeed: "e30..a.b.c", state: [der] },
  "renew-request": { ...nodeRequest, csr: der },
  "renew-reply": { ...reply, chain: [der], bus },
  "sign-request": {
    ...nodeRequest,
    highest,
    items: [{ entry: "web", revision: 4_099n, purpose, csr: der }],
  },
  "sign-reply": {
    ...reply,
    results: [
      { ok: true, entry: "web", chain: [der] },
      { ok: false, entry: "db", code: "ENTRY_UNKNOWN", reason: "no such entry" },
    ],
  },
  "state-request": { ...nodeRequest, nonce: "n1", highest: null },
  "state-reply": { ...reply, nonce: "n1", head: der, state: [der] },
  ack: {
    ...nodeRequest,
    boot: "b1",
    counter: 7,
    highest,
    applied: { [bundleKey(td)]: version },
    consumers: [
      {
        id: "sds-4242-1000",
        kind: "sds",
        connected: true,
        sent: { [td]: 4_294_971_396n },
        acknowledged: { [td]: 4_294_971_395n },
        flushedAt: 0,
        heldUntil: at + 1,
        refusal: { name: "ROOTCA", reason: "no" },
      },
    ],
    authorities: [{ authority: "00ff", svids: 3, until: at + 1 }],
  },
  "ack-reply": { ...reply, counter: 7 },
  refused: { ...reply, code: "CLOCK", reason: "your clock is off" },
  busy: { ...reply, retryAfterMs: 1000 },
  "audit-checkpoint": { ...stamped, issuer, n: 41n, digest: hash("8") },
  "audit-record": {
    ...stamped,
    issuer,
    n: 1n,
    prev: hash("0"),
    action: {
      kind: "svids-issued",
      node,
      svids: [
        {
          serial: "4a01",
          tbsSha256: hash("3"),
          spiffeId: entry.spiffeId,
          entry: "web",
          revision: 4_099n,
          notAfter: at + 1,
          authority: "a1",
          purpose: { kind: "kept-warm" },
        },
      ],
    },
  },
} satisfies Partial<Payloads>;

/** One payload of each kind. */
export const samples: Payloads = { ...stateSamples, ...exchangeSamples };

export const allKinds: readonly Kind[] = Object.keys(samples) as Kind[];
