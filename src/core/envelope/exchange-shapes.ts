import { z } from "zod";
import type {
  AuditAction,
  AuditCheckpoint,
  AuditRecord,
  IssuedSvid,
  Operator,
} from "./audit-payloads.ts";
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
  Ack,
  AckReply,
  AuthorityUse,
  BusAccess,
  Busy,
  ConsumerReport,
  EnrolReply,
  EnrolRequest,
  HeadRef,
  Purpose,
  Refused,
  RenewReply,
  RenewRequest,
  SignItem,
  SignReply,
  SignRequest,
  SignResult,
  StateReply,
  StateRequest,
  X509PopEnrolRequest,
} from "./payloads.ts";

/** The written shape of requests, replies and audit records. */

/** At most this many CSRs in one sign-request. */
const maxSignItems = 50;

const stamped = { td: trustDomain, at: time };
const nodeRequest = { ...stamped, id: token, node: spiffeId };
const reply = { ...stamped, request: digest };
const chain = z.array(base64).min(1).max(8);
const sequences = z.record(trustDomain as unknown as z.ZodString, uint64);

const headRef: z.ZodType<HeadRef> = z.strictObject({ epoch: uint64, term: uint64, n: uint64 });

const purpose: z.ZodType<Purpose> = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("caller"), selectors: z.array(selector).max(256), pid: count }),
  z.strictObject({ kind: z.literal("kept-warm") }),
]);

const busAccess: z.ZodType<BusAccess> = z.strictObject({
  servers: z.array(text).min(1),
  brokerPins: z.array(digest).min(1),
});

export const enrolRequest: z.ZodType<EnrolRequest> = z.strictObject({
  ...stamped,
  token,
  nodeName: token,
  pin: digest,
  nonce: token,
  csr: base64,
  sealingKey: base64,
});

export const x509PopEnrolRequest: z.ZodType<X509PopEnrolRequest> = z.strictObject({
  ...stamped,
  certificate: digest,
  pin: digest,
  nonce: token,
  csr: base64,
  sealingKey: base64,
});

export const enrolReply: z.ZodType<EnrolReply> = z.strictObject({
  ...reply,
  node: spiffeId,
  chain,
  bus: busAccess,
  sealedBusSeed: z.string(),
  state: z.array(base64),
});

export const renewRequest: z.ZodType<RenewRequest> = z.strictObject({
  ...nodeRequest,
  csr: base64,
});

export const renewReply: z.ZodType<RenewReply> = z.strictObject({
  ...reply,
  chain,
  bus: busAccess,
});

const signItem: z.ZodType<SignItem> = z.strictObject({
  entry: token,
  revision: uint64,
  purpose,
  csr: base64,
});

export const signRequest: z.ZodType<SignRequest> = z.strictObject({
  ...nodeRequest,
  highest: headRef.nullable(),
  items: z.array(signItem).min(1).max(maxSignItems),
});

const signResult: z.ZodType<SignResult> = z.discriminatedUnion("ok", [
  z.strictObject({ ok: z.literal(true), entry: token, chain }),
  z.strictObject({
    ok: z.literal(false),
    entry: token,
    code: z.enum(["ENTRY_UNKNOWN", "ENTRY_CHANGED", "CSR_INVALID", "LINT"]),
    reason: text,
  }),
]);

export const signReply: z.ZodType<SignReply> = z.strictObject({
  ...reply,
  results: z.array(signResult),
});

export const stateRequest: z.ZodType<StateRequest> = z.strictObject({
  ...nodeRequest,
  nonce: token,
  highest: headRef.nullable(),
});

export const stateReply: z.ZodType<StateReply> = z.strictObject({
  ...reply,
  nonce: token,
  head: base64,
  state: z.array(base64),
});

export const refused: z.ZodType<Refused> = z.strictObject({
  ...reply,
  code: z.enum([
    "CLOCK",
    "NODE_UNKNOWN",
    "NODE_BANNED",
    "KEY_RETIRED",
    "TOKEN_UNKNOWN",
    "TOKEN_USED",
    "TOKEN_EXPIRED",
    "NODE_NAME",
    "CSR_INVALID",
    "RENEWAL_TOO_LATE",
    "ATTESTOR_OFF",
    "CERTIFICATE_INVALID",
    "ISSUER_BEHIND",
    "NOT_LEADER",
  ]),
  reason: text,
});

export const busy: z.ZodType<Busy> = z.strictObject({ ...reply, retryAfterMs: count });

const consumer: z.ZodType<ConsumerReport> = z.strictObject({
  id: z.string().max(128),
  kind: z.enum(["sds", "workload-api"]),
  connected: z.boolean(),
  sent: sequences,
  acknowledged: sequences,
  flushedAt: time,
  heldUntil: time,
  refusal: z.strictObject({ name: text, reason: text }).nullable(),
});

const authorityUse: z.ZodType<AuthorityUse> = z.strictObject({
  authority: z.string().regex(/^[0-9a-f]{1,128}$/),
  svids: count,
  until: time,
});

export const ack: z.ZodType<Ack> = z.strictObject({
  ...nodeRequest,
  boot: token,
  counter: count,
  highest: headRef.nullable(),
  applied: z.record(z.string().max(128), version),
  consumers: z.array(consumer),
  authorities: z.array(authorityUse),
});

export const ackReply: z.ZodType<AckReply> = z.strictObject({ ...reply, counter: count });

const issuedSvid: z.ZodType<IssuedSvid> = z.strictObject({
  serial: text,
  tbsSha256: digest,
  spiffeId,
  entry: token,
  revision: uint64,
  notAfter: time,
  authority: token,
  purpose,
});

const operator: z.ZodType<Operator> = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("unix"), uid: count, pid: count }),
  z.strictObject({ kind: z.literal("svid"), id: spiffeId, serial: text }),
]);

const auditAction: z.ZodType<AuditAction> = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("svids-issued"), node: spiffeId, svids: z.array(issuedSvid) }),
  z.strictObject({
    kind: z.literal("svids-refused"),
    node: spiffeId,
    refused: z.array(z.strictObject({ entry: token, code: text })),
  }),
  z.strictObject({
    kind: z.enum(["node-enrolled", "node-renewed"]),
    node: spiffeId,
    serial: text,
    tbsSha256: digest,
    by: text,
    notAfter: time.optional(),
    authority: token.optional(),
  }),
  z.strictObject({
    kind: z.literal("svid-minted"),
    serial: text,
    tbsSha256: digest,
    spiffeId,
    dnsNames: z.array(text).optional(),
    notAfter: time,
    authority: token,
    reason: text,
    by: operator,
  }),
  z.strictObject({
    kind: z.literal("svids-revoked"),
    subject: text,
    reason: text,
    svids: z.array(z.strictObject({ serial: text, authority: token })),
    by: operator.nullable(),
  }),
  z.strictObject({
    kind: z.literal("request-refused"),
    since: time,
    refused: z.array(z.strictObject({ node: text, code: text, reason: text, count })).max(64),
    others: count,
  }),
  z.strictObject({
    kind: z.literal("issuer-certified"),
    issuer: spiffeId,
    serial: text,
    tbsSha256: digest,
    notAfter: time,
  }),
  z.strictObject({ kind: z.literal("admin"), verb: text, subject: text, by: operator }),
  z.strictObject({
    kind: z.literal("authority"),
    authority: token,
    status: z.enum(["prepared", "active", "old", "tainted", "revoked", "expired"]),
    by: text,
  }),
]);

export const auditRecord: z.ZodType<AuditRecord> = z.strictObject({
  ...stamped,
  issuer: spiffeId,
  n: uint64,
  prev: digest,
  action: auditAction,
});

export const auditCheckpoint: z.ZodType<AuditCheckpoint> = z.strictObject({
  ...stamped,
  issuer: spiffeId,
  n: uint64,
  digest,
});
