import type { z } from "zod";
import type * as Audit from "./audit-payloads.ts";
import type * as Authority from "./authority-payloads.ts";
import * as exchange from "./exchange-shapes.ts";
import type * as Payload from "./payloads.ts";
import * as state from "./state-shapes.ts";

/** Who may sign a kind. */
export type Role = "root" | "control" | "token" | "node" | "operator-ca";

/** As JOSE names them (RFC 7518, RFC 8037); `ES256` and `ES384` are raw `r || s`, `PS256` has a salt as long as its hash. */
export type Alg = "EdDSA" | "ES256" | "ES384" | "PS256";

/** Each kind's contents. */
export interface Payloads {
  readonly control: Payload.ControlCertificate;
  readonly epoch: Payload.EpochState;
  readonly bundle: Payload.BundleState;
  readonly revocations: Payload.RevocationsState;
  readonly revoked: Payload.RevokedState;
  readonly "group-index": Payload.GroupIndexState;
  readonly manifest: Payload.ManifestState;
  readonly entry: Payload.EntryState;
  readonly "entry-page": Payload.EntryPageState;
  readonly "entry-set": Payload.EntrySetState;
  readonly token: Payload.TokenState;
  readonly "node-record": Payload.NodeRecordState;
  readonly authority: Authority.AuthorityState;
  readonly "rotation-progress": Authority.RotationState;
  readonly term: Payload.TermState;
  readonly head: Payload.Head;
  readonly "enrol-request": Payload.EnrolRequest;
  readonly "x509pop-enrol-request": Payload.X509PopEnrolRequest;
  readonly "enrol-reply": Payload.EnrolReply;
  readonly "renew-request": Payload.RenewRequest;
  readonly "renew-reply": Payload.RenewReply;
  readonly "sign-request": Payload.SignRequest;
  readonly "sign-reply": Payload.SignReply;
  readonly "state-request": Payload.StateRequest;
  readonly "state-reply": Payload.StateReply;
  readonly ack: Payload.Ack;
  readonly "ack-reply": Payload.AckReply;
  readonly refused: Payload.Refused;
  readonly busy: Payload.Busy;
  readonly "audit-record": Audit.AuditRecord;
  readonly "audit-checkpoint": Audit.AuditCheckpoint;
}

/** The names between prefix and suffix of a payload type. */
export type Kind = keyof Payloads;

interface KindRule<K extends Kind> {
  readonly role: Role;
  readonly shape: z.ZodType<Payloads[K]>;
}

/** One row a kind: exactly one role may sign it, so that no payload of one kind can be passed off as another (MEC-05, TM-B-08). */
export const kinds: { readonly [K in Kind]: KindRule<K> } = {
  control: { role: "root", shape: state.controlCertificate },
  epoch: { role: "root", shape: state.epochState },
  bundle: { role: "control", shape: state.bundleState },
  revocations: { role: "control", shape: state.revocationsState },
  revoked: { role: "control", shape: state.revokedState },
  "group-index": { role: "control", shape: state.groupIndexState },
  manifest: { role: "control", shape: state.manifestState },
  entry: { role: "control", shape: state.entryState },
  "entry-page": { role: "control", shape: state.entryPageState },
  "entry-set": { role: "control", shape: state.entrySetState },
  token: { role: "control", shape: state.tokenState },
  "node-record": { role: "control", shape: state.nodeRecordState },
  authority: { role: "control", shape: state.authorityState },
  "rotation-progress": { role: "control", shape: state.rotationState },
  term: { role: "control", shape: state.termState },
  head: { role: "control", shape: state.head },
  "enrol-request": { role: "token", shape: exchange.enrolRequest },
  "x509pop-enrol-request": { role: "operator-ca", shape: exchange.x509PopEnrolRequest },
  "enrol-reply": { role: "control", shape: exchange.enrolReply },
  "renew-request": { role: "node", shape: exchange.renewRequest },
  "renew-reply": { role: "control", shape: exchange.renewReply },
  "sign-request": { role: "node", shape: exchange.signRequest },
  "sign-reply": { role: "control", shape: exchange.signReply },
  "state-request": { role: "node", shape: exchange.stateRequest },
  "state-reply": { role: "control", shape: exchange.stateReply },
  ack: { role: "node", shape: exchange.ack },
  "ack-reply": { role: "control", shape: exchange.ackReply },
  refused: { role: "control", shape: exchange.refused },
  busy: { role: "control", shape: exchange.busy },
  "audit-record": { role: "control", shape: exchange.auditRecord },
  "audit-checkpoint": { role: "control", shape: exchange.auditCheckpoint },
};

/** Herald's own keys have one algorithm each. The operator's certificates have what their CA gave them, and the key tells which. */
const algsOfRole: Readonly<Record<Role, readonly Alg[]>> = {
  root: ["EdDSA"],
  control: ["EdDSA"],
  token: ["EdDSA"],
  node: ["ES256"],
  "operator-ca": ["ES256", "ES384", "PS256"],
};

/** The algorithms that a kind may be signed with: its role decides. */
export function algsOf(kind: Kind): readonly Alg[] {
  return algsOfRole[kinds[kind].role];
}

const prefix = "application/vnd.herald.";
const suffix = ".v1+json";

export function payloadTypeOf(kind: Kind): string {
  return `${prefix}${kind}${suffix}`;
}

/** The kind that a payload type names, or undefined for one that this version does not know. */
export function kindOf(payloadType: string): Kind | undefined {
  if (!payloadType.startsWith(prefix) || !payloadType.endsWith(suffix)) return undefined;
  const name = payloadType.slice(prefix.length, -suffix.length);
  return Object.hasOwn(kinds, name) ? (name as Kind) : undefined;
}
