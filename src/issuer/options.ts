import type { EnvelopeSigner } from "../core/envelope/envelope.ts";
import type { BusAccess } from "../core/envelope/payloads.ts";
import type { ControlTrust } from "../core/envelope/trust.ts";
import type { SpiffeId, TrustDomain } from "../core/spiffe/spiffe-id.ts";
import type { Clock } from "../kit/clock.ts";
import type { Log } from "../kit/log.ts";
import type { Metrics } from "../kit/metrics.ts";
import type { Random } from "../kit/random.ts";
import type { WitnessSettings } from "./audit/audit-witnesses.ts";
import type { AdmissionLimits } from "./door/admission.ts";
import type { X509PopSettings } from "./nodes/x509pop.ts";
import type {
  AuditHistory,
  AuditReader,
  AuditStream,
  AuthorityKeys,
  EventStream,
  HeadBroadcast,
  Journal,
  StateStore,
  UpstreamAuthority,
} from "./ports.ts";

/** What an operator may set; every member has a default in the configuration file. */
export interface IssuerSettings {
  /** Default 15,000. */
  readonly headIntervalMs: number;
  /** Default 86,400 (one day). */
  readonly nodeTtlSeconds: number;
  /** Default 3,600. */
  readonly defaultTtlSeconds: number;
  /** Default 86,400. */
  readonly maxTtlSeconds: number;
  /** Default 30 days. */
  readonly authorityLifetimeMs: number;
  /** Default 15 minutes: so long a rotation waits for a node that says nothing, unless its SVIDs would be cut off. */
  readonly lostAfterMs: number;
  /** From when a CRL is made until its nextUpdate. Default 7 days, and at least twice the longest life of an SVID. */
  readonly crlLifeMs: number;
  /** Of an SVID that an operator mints. Default 3,600. */
  readonly mintMaxTtlSeconds: number;
}

/** How machines may prove which node they are. */
export interface AttestorSettings {
  readonly joinToken: boolean;
  /** Undefined: off. */
  readonly x509pop: X509PopSettings | undefined;
}

/** Of any SVID: a workload's, a node's, one that is minted. */
export function longestLifeMs(
  settings: Pick<IssuerSettings, "maxTtlSeconds" | "nodeTtlSeconds" | "mintMaxTtlSeconds">,
): number {
  const { maxTtlSeconds, nodeTtlSeconds, mintMaxTtlSeconds } = settings;
  return Math.max(maxTtlSeconds, nodeTtlSeconds, mintMaxTtlSeconds) * 1000;
}

export interface IssuerOptions {
  readonly trustDomain: TrustDomain;
  readonly issuer: SpiffeId;
  readonly trust: ControlTrust;
  readonly signer: EnvelopeSigner;
  /** The root's epoch statement, an envelope of kind `epoch`. */
  readonly epoch: { readonly bytes: Uint8Array; readonly number: bigint };
  readonly bus: BusAccess;
  readonly busSeed: Uint8Array;
  readonly settings: IssuerSettings;
  /** Absent: join tokens alone. */
  readonly attestors?: AttestorSettings;
  /** Defaults to `defaultAdmission`. */
  readonly admission?: AdmissionLimits;
  readonly journal: Journal;
  readonly store: StateStore;
  readonly broadcast: HeadBroadcast;
  readonly auditStream: AuditStream;
  readonly auditHistory: AuditHistory;
  /** Absent: records that the journal no longer keeps cannot be compared with a witness's. */
  readonly auditReader?: AuditReader;
  /** Absent: nobody outside witnesses the audit chain. */
  readonly witnesses?: WitnessSettings;
  readonly eventStream: EventStream;
  readonly keys: AuthorityKeys;
  readonly upstream: UpstreamAuthority;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
}
