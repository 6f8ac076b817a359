import type { Ack, ConsumerReport, NodeRecordState } from "../../../src/core/envelope/payloads.ts";
import type { Version } from "../../../src/core/envelope/version.ts";
import {
  parseSpiffeId,
  parseTrustDomain,
  type SpiffeId,
  type TrustDomain,
} from "../../../src/core/spiffe/spiffe-id.ts";
import {
  bundleGate,
  type GateBundle,
  type GateFacts,
  type OldAuthority,
  reissueGate,
  type Waiting,
} from "../../../src/issuer/authorities/gate.ts";

/** One node with one consumer, as a gate sees them: all is well until a test bends something. */

export const now: number = Date.UTC(2026, 10, 22, 12);
export const trustDomain: TrustDomain = parseTrustDomain("example.org");
export const node: SpiffeId = parseSpiffeId("spiffe://example.org/herald/node/join_token/east");
const version: Version = { epoch: 1n, term: 3n, seq: 50n };
export const bundle: GateBundle = {
  trustDomain,
  key: "bundle.x",
  above: { ...version, seq: 49n },
  aboveSequence: 2n ** 32n + 49n,
};
export const sequence: bigint = 2n ** 32n + 50n;
export const hourMs = 3_600_000;
export const oldAuthority = "aa";
export const old: OldAuthority = {
  authority: "a1",
  subjectKeyId: oldAuthority,
  lastEnd: now + 100 * hourMs,
  mintedUntil: 0,
  unread: false,
};

export const record: NodeRecordState = {
  td: trustDomain,
  at: now,
  key: "record.x",
  version: { epoch: 1n, term: 1n, seq: 1n },
  node,
  current: { keyId: "0".repeat(64), spki: "" },
  next: null,
  retired: [],
  labels: {},
  banned: false,
  enrolledAt: now,
  expiresAt: now + 1000,
};

export const consumer: ConsumerReport = {
  id: "sds-1-1",
  kind: "sds",
  connected: true,
  sent: { [trustDomain]: sequence },
  acknowledged: { [trustDomain]: sequence },
  flushedAt: 0,
  heldUntil: now + 1000,
  refusal: null,
};

export const ack: Ack = {
  td: trustDomain,
  at: now,
  id: "request",
  node,
  boot: "boot",
  counter: 1,
  highest: null,
  applied: { [bundle.key]: version },
  consumers: [],
  authorities: [],
};

export function facts(of: {
  readonly record?: Partial<NodeRecordState>;
  readonly ack?: Partial<Ack> | "none";
  readonly issuedUntil?: number;
}): GateFacts {
  const told = of.ack === "none" ? undefined : { ...ack, ...of.ack };
  return {
    now,
    longestLifeMs: hourMs,
    records: [{ ...record, ...of.record }],
    ackOf: () => told,
    issuedUntil: () => of.issuedUntil ?? 0,
    lostAfterMs: 900_000,
    heardSince: 0,
    past: new Set(),
  };
}

export const waitingForBundle = (of: GateFacts): readonly Waiting[] =>
  bundleGate(of, bundle).waiting;
export const waitingForReissue = (
  of: GateFacts,
  authority: Partial<OldAuthority> = {},
): readonly Waiting[] => reissueGate(of, bundle, { ...old, ...authority }).waiting;
