import type { SpiffeId } from "../spiffe/spiffe-id.ts";
import type { Entry } from "./entry.ts";

/** What of an entry makes its workloads administrators. */
export type AdminEntry = Pick<Entry, "spiffeId"> & {
  readonly admin?: boolean;
  /** From then on it gives nothing; milliseconds since the epoch, 0 for never. */
  readonly expiresAt?: number;
};

/** May workloads of this SPIFFE ID give orders to issuers? As the entries stand: a deleted or expired one makes nobody an administrator. */
export function isAdmin(entries: readonly AdminEntry[], id: SpiffeId, now: number): boolean {
  return entries.some(
    ({ spiffeId, admin = false, expiresAt = 0 }) =>
      admin && spiffeId === id && (expiresAt === 0 || expiresAt > now),
  );
}
