import type { Bundle } from "../bundle/bundle.ts";
import type { SpiffeId, TrustDomain } from "../spiffe/spiffe-id.ts";

/** An X.509-SVID with its key, as one workload may hold it. */
export interface X509Svid {
  readonly id: SpiffeId;
  /** DER, leaf first, intermediates after, never a root. */
  readonly chain: readonly Uint8Array[];
  /** PKCS#8 DER, unencrypted: as the Workload API and Envoy take it. Never logged. */
  readonly privateKey: Uint8Array;
  /** The leaf's serial number, lower-case hex: names this SVID in acknowledgements and audit. */
  readonly serial: string;
  /** The leaf's notAfter, milliseconds since the epoch. */
  readonly expiresAt: number;
  /** The operator's hint for choosing between identities; empty when the entry has none. */
  readonly hint: string;
}

/**
 * A trust domain's CRLs: proven, complete and in date (crl-cover.ts). The same value while nothing changed; never without any.
 */
export interface CrlSet {
  /** DER, one of each authority. */
  readonly crls: readonly Uint8Array[];
  /** DER of the authorities below the bundle's that issued some of them: by these they can be proven again. */
  readonly intermediates: readonly Uint8Array[];
}

/** Everything that one local caller is entitled to, as of one moment. Immutable; a change makes a new view. */
export interface WorkloadView {
  readonly trustDomain: TrustDomain;
  /** The default identity first; the order is stable over pushes and restarts (WAPI-18). */
  readonly svids: readonly X509Svid[];
  /** Own and federated bundles by trust domain; the own one is absent only before the node's first bundle came. */
  readonly bundles: ReadonlyMap<TrustDomain, Bundle>;
  /** By trust domain, the CRLs that verifiers may have; absent: nobody is revoked, or nothing can be said about it. */
  readonly crls: ReadonlyMap<TrustDomain, CrlSet>;
  /** False until the node has read its state once: "nothing yet" must not be told as "nothing" (WEP-13, DELTA-07). */
  readonly synced: boolean;
}
