import type { SpiffeId } from "../spiffe/spiffe-id.ts";
import type { AuthorityStatus, StateObject } from "./payloads.ts";
import type { Version } from "./version.ts";

/** What issuers keep of authorities and of their rotation. */

/** One X.509 authority and where it stands in its life. */
export interface AuthorityState extends StateObject {
  readonly authority: string;
  readonly status: AuthorityStatus;
  readonly certificate: string;
  /** What follows a leaf that it signed: its own certificate first unless that is a root, then those above it, never a root. Base64 DER. */
  readonly chain: readonly string[];
  /** Roots that verifiers need for it; its own certificate when that is one. Base64 DER. */
  readonly anchors: readonly string[];
  /** Its own end or that of a certificate above it, whichever is earlier. */
  readonly notAfter: number;
  /** Since when it signs no more; 0 while it does, or may. No SVID of it lives longer than the longest life after this. */
  readonly retiredAt: number;
  /** The end of the last SVID of it that an operator was handed, and no node holds; 0 for none. */
  readonly mintedUntil: number;
}

/**
 * What a rotation waits for now. `prepare`: everybody has the new root; then the new authority signs. `reissue`: no SVID of the old authority lives;
 * then its root leaves the bundle. `remove`: everybody has let go of the root.
 */
export type RotationStep = "prepare" | "reissue" | "remove" | "done" | "aborted";

/** Which part of it was ordered: all steps; those up to the activation; those from `reissue` on, for an authority that signs no more. */
type RotationKind = "rotate" | "activate" | "revoke";

/** A node that a rotation did not wait for. */
export interface PassedNode {
  readonly node: SpiffeId;
  readonly step: RotationStep;
  readonly why: "lost" | "by hand" | "forced" | "out of time";
}

/** A rotation under way, or the last one: enough for another issuer process to go on with it. */
export interface RotationState extends StateObject {
  readonly rotation: string;
  readonly kind: RotationKind;
  readonly step: RotationStep;
  readonly from: string;
  readonly to: string;
  readonly startedAt: number;
  readonly stepAt: number;
  /** A bundle of a higher version carries what this step changed; null in objects of the first release. */
  readonly gateFrom: Version | null;
  /** The old authority's key may be in wrong hands. */
  readonly taints: boolean;
  readonly paused: boolean;
  /** Nodes that an operator passes by, to the end of the rotation. */
  readonly past: readonly SpiffeId[];
  /** Whom it has passed by so far, the first 200. */
  readonly passed: readonly PassedNode[];
}
