import type { Bundle } from "../core/bundle/bundle.ts";
import type { TrustDomain } from "../core/spiffe/spiffe-id.ts";
import type { WorkloadView, X509Svid } from "../core/svid/workload-view.ts";

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

/** One Workload API stream. The same object in every report of a stream, so it can key a Map. */
export interface ClientId {
  readonly caller: string;
  readonly pid: number;
  /** Counts the streams of this process; never used twice. */
  readonly stream: number;
  readonly method: X509Method;
}

/** The streams that carry X.509 material. */
export type X509Method = "FetchX509SVID" | "FetchX509Bundles";

/** What one message was made from: the currency of the rotation gates (protocol.md, "Acknowledged"). */
export interface DeliveredVersions {
  readonly svids: readonly { readonly serial: string; readonly expiresAt: number }[];
  readonly sequences: ReadonlyMap<TrustDomain, bigint>;
}

/**
 * Hears what clients were given. They cannot acknowledge: `flushed` says that the bytes have left this process, and whoever
 * waits for a version lets them settle for a while after it. Must return at once and must not throw.
 */
export interface ClientLog {
  opened(client: ClientId): void;
  flushed(client: ClientId, versions: DeliveredVersions): void;
  /** The stream ended; what the client was given last it may still use. */
  closed(client: ClientId): void;
}

/** The last look at an SVID before a workload gets it: the reason to hold it back. */
export type SvidCheck = (svid: X509Svid, own: Bundle) => string | undefined;
