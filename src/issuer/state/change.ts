import type { AuthorityState } from "../../core/envelope/authority-payloads.ts";
import type { Kind, Payloads } from "../../core/envelope/kinds.ts";
import type { StateObject } from "../../core/envelope/payloads.ts";

/** The kinds that lie under a key. */
export type StateKind = {
  [K in Kind]: Payloads[K] extends StateObject ? K : never;
}[Kind];

/** All of them, to be told from requests and replies. */
export const stateKinds: readonly StateKind[] = [
  "epoch",
  "bundle",
  "revocations",
  "revoked",
  "group-index",
  "manifest",
  "entry",
  "entry-page",
  "entry-set",
  "token",
  "node-record",
  "authority",
  "rotation-progress",
  "term",
];

/** What the state fills in by itself. */
export type Stamp = StateObject;

/** One object to be written: its contents as a function of the stamp it gets. */
export type Change = {
  [K in StateKind]: {
    readonly kind: K;
    readonly key: string;
    /** May take its time where a key outside of this process signs; nothing else is written meanwhile. */
    readonly content: (stamp: Stamp) => Payloads[K] | Promise<Payloads[K]>;
    /** Of a bundle: the authorities that it trusts. */
    readonly trusts?: readonly TrustedAuthority[];
  };
}[StateKind];

/** An authority of a bundle. */
export type TrustedAuthority = Pick<AuthorityState, "authority" | "certificate" | "anchors">;

/** Bytes that a signed object names by their hash. */
export interface Page {
  readonly key: string;
  readonly bytes: Uint8Array;
}
