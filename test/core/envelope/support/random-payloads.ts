import fc from "fast-check";
import type { AuditAction } from "../../../../src/core/envelope/audit-payloads.ts";
import type { Payloads } from "../../../../src/core/envelope/kinds.ts";
import type { SignResult } from "../../../../src/core/envelope/payloads.ts";
import {
  base64,
  digest,
  entry,
  headRef,
  key,
  labels,
  purpose,
  spiffeId,
  text,
  time,
  token,
  trustDomain,
  uint64,
  version,
} from "./fields.ts";

/** Random payloads of each kind. */

const few = <T>(one: fc.Arbitrary<T>, minLength = 0): fc.Arbitrary<T[]> =>
  fc.array(one, { minLength, maxLength: 3 });
const stamped = { td: trustDomain, at: time };
const object = { ...stamped, key, version };
const nodeRequest = { ...stamped, id: token, node: spiffeId };
const reply = { ...stamped, request: digest };
const nodeKey = fc.record({ keyId: digest, spki: base64 });
const highest = fc.option(headRef);
const chain = few(base64, 1);
const bus = fc.record({ servers: few(text, 1), brokerPins: few(digest, 1) });
const status = fc.constantFrom("prepared", "active", "old", "tainted", "revoked", "expired");
const hex = fc.constantFrom("", "00ff", "ab".repeat(20));
const someHex = fc.constantFrom("00ff", "ab".repeat(20));
const step = fc.constantFrom("prepare", "reissue", "remove", "done", "aborted");
const passedWhy = fc.constantFrom("lost", "by hand", "forced", "out of time");
// A member of this name is refused by every reader; compact-json has its own test.
const memberDomain = trustDomain.filter((name) => name !== "__proto__");
const sequences = fc.dictionary(memberDomain, uint64, { maxKeys: 2, noNullPrototype: true });

const signResult: fc.Arbitrary<SignResult> = fc.oneof(
  fc.record({ ok: fc.constant(true as const), entry: token, chain }),
  fc.record({
    ok: fc.constant(false as const),
    entry: token,
    code: fc.constantFrom("ENTRY_UNKNOWN", "ENTRY_CHANGED", "CSR_INVALID", "LINT"),
    reason: text,
  }),
);

const operator = fc.oneof(
  fc.record({ kind: fc.constant("unix" as const), uid: time, pid: time }),
  fc.record({ kind: fc.constant("svid" as const), id: spiffeId, serial: text }),
);

const revokedRow = fc.tuple(
  fc.constantFrom("40".repeat(16), "01".repeat(8), "ff".repeat(20)),
  time,
  time,
  fc.constantFrom(0, 1, 3, 4, 5, 9),
);

const issued = fc.record({
  serial: text,
  tbsSha256: digest,
  spiffeId,
  entry: token,
  revision: uint64,
  notAfter: time,
  authority: token,
  purpose,
});

const auditAction: fc.Arbitrary<AuditAction> = fc.oneof(
  fc.record({ kind: fc.constant("svids-issued" as const), node: spiffeId, svids: few(issued) }),
  fc.record({
    kind: fc.constant("svids-refused" as const),
    node: spiffeId,
    refused: few(fc.record({ entry: token, code: text })),
  }),
  fc.record(
    {
      kind: fc.constantFrom("node-enrolled", "node-renewed"),
      node: spiffeId,
      serial: text,
      tbsSha256: digest,
      by: text,
      notAfter: time,
      authority: token,
    },
    { requiredKeys: ["kind", "node", "serial", "tbsSha256", "by"] },
  ),
  fc.record({
    kind: fc.constant("svid-minted" as const),
    serial: text,
    tbsSha256: digest,
    spiffeId,
    notAfter: time,
    authority: token,
    reason: text,
    by: operator,
  }),
  fc.record({
    kind: fc.constant("svids-revoked" as const),
    subject: text,
    reason: text,
    svids: few(fc.record({ serial: text, authority: token })),
    by: fc.option(operator),
  }),
  fc.record({
    kind: fc.constant("issuer-certified" as const),
    issuer: spiffeId,
    serial: text,
    tbsSha256: digest,
    notAfter: time,
  }),
  fc.record({
    kind: fc.constant("request-refused" as const),
    since: time,
    refused: few(fc.record({ node: text, code: text, reason: text, count: time })),
    others: time,
  }),
  fc.record({
    kind: fc.constant("admin" as const),
    verb: text,
    subject: text,
    by: operator,
  }),
  fc.record({ kind: fc.constant("authority" as const), authority: token, status, by: text }),
);

const consumer = fc.record({
  id: text,
  kind: fc.constantFrom("sds", "workload-api"),
  connected: fc.boolean(),
  sent: sequences,
  acknowledged: sequences,
  flushedAt: time,
  heldUntil: time,
  refusal: fc.option(fc.record({ name: text, reason: text })),
});

export const randomPayloads: { readonly [K in keyof Payloads]: fc.Arbitrary<Payloads[K]> } = {
  control: fc.record({
    ...stamped,
    issuer: spiffeId,
    publicKey: base64,
    notBefore: time,
    notAfter: time,
  }),
  epoch: fc.record({ ...object, revokedKeys: few(digest) }),
  bundle: fc.record({
    ...object,
    document: text,
    revocations: version,
    activeAuthority: hex,
    taintedAuthorities: few(someHex),
    brokerPins: few(digest),
  }),
  revocations: fc.record({ ...object, crls: few(base64) }),
  revoked: fc.record({ ...object, authorities: fc.dictionary(token, few(revokedRow)) }),
  "group-index": fc.record({
    ...object,
    entries: few(entry),
    pages: few(fc.record({ key, sha256: digest })),
  }),
  manifest: fc.record({
    ...object,
    node: spiffeId,
    labels,
    banned: fc.boolean(),
    entries: few(entry),
    goesWith: version,
    before: few(entry),
  }),
  "entry-page": fc.record({ ...object, set: text, entries: few(entry) }),
  "entry-set": fc.record({ ...object, set: text, pages: few(fc.record({ key, version })) }),
  entry: fc.record({ ...object, entry: fc.option(entry) }),
  token: fc.record({
    ...object,
    token,
    publicKey: base64,
    expires: time,
    nodeName: token,
    replaces: fc.boolean(),
    labels,
    usedBy: fc.option(digest),
  }),
  "node-record": fc.record({
    ...object,
    node: spiffeId,
    current: nodeKey,
    next: fc.option(nodeKey),
    retired: few(digest),
    labels,
    banned: fc.boolean(),
    enrolledAt: time,
    expiresAt: time,
  }),
  authority: fc.record({
    ...object,
    authority: token,
    status,
    certificate: base64,
    chain: fc.array(base64, { maxLength: 3 }),
    anchors: fc.array(base64, { minLength: 1, maxLength: 3 }),
    notAfter: time,
    retiredAt: time,
    mintedUntil: time,
  }),
  "rotation-progress": fc.record({
    ...object,
    rotation: token,
    kind: fc.constantFrom("rotate", "activate", "revoke"),
    step,
    from: token,
    to: token,
    startedAt: time,
    stepAt: time,
    gateFrom: fc.option(version),
    taints: fc.boolean(),
    paused: fc.boolean(),
    past: few(spiffeId),
    passed: few(fc.record({ node: spiffeId, step, why: passedWhy })),
  }),
  term: fc.record({ ...object, issuer: spiffeId, boot: token }),
  head: fc.record({
    ...stamped,
    epoch: uint64,
    term: uint64,
    n: uint64,
    objects: fc.dictionary(key, fc.record({ version, digest }), {
      maxKeys: 3,
      noNullPrototype: true,
    }),
    merkleRoot: digest,
    viewEveryMs: time,
    ackSpreadMs: time,
    expires: time,
  }),
  "enrol-request": fc.record({
    ...stamped,
    token,
    nodeName: token,
    pin: digest,
    nonce: token,
    csr: base64,
    sealingKey: base64,
  }),
  "x509pop-enrol-request": fc.record({
    ...stamped,
    certificate: digest,
    pin: digest,
    nonce: token,
    csr: base64,
    sealingKey: base64,
  }),
  "enrol-reply": fc.record({
    ...reply,
    node: spiffeId,
    chain,
    bus,
    sealedBusSeed: text,
    state: few(base64),
  }),
  "renew-request": fc.record({ ...nodeRequest, csr: base64 }),
  "renew-reply": fc.record({ ...reply, chain, bus }),
  "sign-request": fc.record({
    ...nodeRequest,
    highest,
    items: few(fc.record({ entry: token, revision: uint64, purpose, csr: base64 }), 1),
  }),
  "sign-reply": fc.record({ ...reply, results: few(signResult) }),
  "state-request": fc.record({ ...nodeRequest, nonce: token, highest }),
  "state-reply": fc.record({ ...reply, nonce: token, head: base64, state: few(base64) }),
  ack: fc.record({
    ...nodeRequest,
    boot: token,
    counter: time,
    highest,
    applied: fc.dictionary(key, version, { maxKeys: 3, noNullPrototype: true }),
    consumers: few(consumer),
    authorities: few(
      fc.record({ authority: fc.constantFrom("00ff", "a"), svids: time, until: time }),
    ),
  }),
  "ack-reply": fc.record({ ...reply, counter: time }),
  refused: fc.record({
    ...reply,
    code: fc.constantFrom("CLOCK", "NODE_BANNED", "TOKEN_USED", "NOT_LEADER"),
    reason: text,
  }),
  busy: fc.record({ ...reply, retryAfterMs: time }),
  "audit-checkpoint": fc.record({ ...stamped, issuer: spiffeId, n: uint64, digest }),
  "audit-record": fc.record({
    ...stamped,
    issuer: spiffeId,
    n: uint64,
    prev: digest,
    action: auditAction,
  }),
};
