import type { Bundle } from "../core/bundle/bundle.ts";
import type { TrustDomain } from "../core/spiffe/spiffe-id.ts";
import type { CrlSet, WorkloadView, X509Svid } from "../core/svid/workload-view.ts";

/** The local process at the other end of a connection, as the kernel names it. */
export interface Caller {
  /** Stable for the life of the connection; shown in logs. */
  readonly id: string;
  readonly pid: number;
  /** False once the process that connected has ended, even when its pid or its socket has gone to another. */
  isAlive(): boolean;
}

/** Tells what a caller is entitled to, now and after each change. */
export interface ViewSource {
  /**
   * Attests the caller and starts a watch. `onChange` gets every view after the one that `current()` had when the promise
   * resolved; it may skip views that a newer one replaced, never the newest. Rejects when the caller cannot be attested.
   */
  watch(caller: Caller, onChange: (view: WorkloadView) => void): Promise<ViewWatch>;
}

/** One running watch. */
export interface ViewWatch {
  current(): WorkloadView;
  /** Idempotent; no `onChange` comes after it. */
  close(): void;
}

/** One SDS stream. The same object in every report of a stream, so it can key a Map. */
export interface ConsumerId {
  readonly caller: string;
  readonly pid: number;
  /** Counts the streams of this process; never used twice. */
  readonly stream: number;
  /** What the Envoy calls itself (`node.id`); for people, proves nothing (EF-43). */
  readonly node: string;
}

/** Which version of what a pushed secret was made from: the currency of the rotation gates (protocol.md, "Acknowledged"). */
export type SecretSource =
  | { readonly kind: "svid"; readonly serial: string; readonly expiresAt: number }
  | { readonly kind: "bundle"; readonly sequences: ReadonlyMap<TrustDomain, bigint> };

/** A secret as reports name it: never its bytes. */
export interface PushedSecret {
  readonly name: string;
  /** Keyed hash of the content (DELTA-09). */
  readonly version: string;
  readonly source: SecretSource;
}

/** Hears what became of every pushed secret. Must return at once and must not throw. */
export interface ConsumerLog {
  /** After the stream's first request. */
  opened(consumer: ConsumerId): void;
  /** Handed to HTTP/2; an acknowledgement or a refusal follows unless the stream ends. */
  sent(consumer: ConsumerId, secrets: readonly PushedSecret[]): void;
  /** Envoy applied them. */
  acknowledged(consumer: ConsumerId, secrets: readonly PushedSecret[]): void;
  /** Envoy kept what it had (EF-41). The message is Envoy's, shortened and without control characters. */
  refused(consumer: ConsumerId, refusal: Refusal): void;
  /** The stream ended; what Envoy was given last it still uses. */
  closed(consumer: ConsumerId): void;
}

/** One NACKed secret. */
export interface Refusal extends PushedSecret {
  readonly message: string;
}

/** The last look at material before Envoy gets it (EF-21, EF-26, SDS-05); each answers with the reason to hold it back. */
export interface ServableCheck {
  /** The chain, the key and the dates, against the bundle that the peers will use. */
  svid(svid: X509Svid, own: Bundle): string | undefined;
  /** Each authority parses and is a CA. */
  bundle(bundle: Bundle): string | undefined;
  /** Each CRL parses and is an authority's of this bundle; no authority is without, and all are in date. May change with time. */
  crls(crls: CrlSet, bundle: Bundle): string | undefined;
}
