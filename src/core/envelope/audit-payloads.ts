import type { SpiffeId } from "../spiffe/spiffe-id.ts";
import type { AuditPoint, AuthorityStatus, Purpose, Stamped } from "./payloads.ts";

/** What the audit chain is made of, and what others are given to keep of it. */

/** One SVID as the audit chain names it: found again by its serial or by the hash of its signed part. */
export interface IssuedSvid {
  readonly serial: string;
  readonly tbsSha256: string;
  readonly spiffeId: SpiffeId;
  readonly entry: string;
  readonly revision: bigint;
  readonly notAfter: number;
  readonly authority: string;
  readonly purpose: Purpose;
}

/** Who gave an order: a peer of the admin socket, known from the kernel, or a workload of an admin entry, known by its SVID. */
export type Operator =
  | { readonly kind: "unix"; readonly uid: number; readonly pid: number }
  | { readonly kind: "svid"; readonly id: SpiffeId; readonly serial: string };

/** Refusals of one kind to one sender, told together: a flood of them is one line. */
export interface RefusedRequests {
  /** SPIFFE ID of the node in whose name the requests came, which they need not have proven; empty for a stranger. */
  readonly node: string;
  readonly code: string;
  /** Of the first of them. */
  readonly reason: string;
  readonly count: number;
}

/** What an audit record is about. */
export type AuditAction =
  | {
      readonly kind: "svids-issued";
      readonly node: SpiffeId;
      readonly svids: readonly IssuedSvid[];
    }
  | {
      readonly kind: "svids-refused";
      readonly node: SpiffeId;
      readonly refused: readonly { readonly entry: string; readonly code: string }[];
    }
  | {
      readonly kind: "node-enrolled" | "node-renewed";
      readonly node: SpiffeId;
      readonly serial: string;
      readonly tbsSha256: string;
      readonly by: string;
      /** Absent in records from before it was kept. */
      readonly notAfter?: number | undefined;
      /** Absent in records from before it was kept. */
      readonly authority?: string | undefined;
    }
  | {
      readonly kind: "svid-minted";
      readonly serial: string;
      readonly tbsSha256: string;
      readonly spiffeId: SpiffeId;
      /** Absent for none. */
      readonly dnsNames?: readonly string[] | undefined;
      readonly notAfter: number;
      readonly authority: string;
      readonly reason: string;
      readonly by: Operator;
    }
  | {
      readonly kind: "svids-revoked";
      /** What was named: a serial, or `entry …`, `node …`, `id …`. */
      readonly subject: string;
      readonly reason: string;
      readonly svids: readonly { readonly serial: string; readonly authority: string }[];
      /** null: the issuer itself, for a node that is banned. */
      readonly by: Operator | null;
    }
  | {
      readonly kind: "issuer-certified";
      readonly issuer: SpiffeId;
      readonly serial: string;
      readonly tbsSha256: string;
      readonly notAfter: number;
    }
  | {
      readonly kind: "request-refused";
      readonly since: number;
      readonly refused: readonly RefusedRequests[];
      /** Refusals that no line of `refused` had room for. */
      readonly others: number;
    }
  | {
      readonly kind: "admin";
      readonly verb: string;
      readonly subject: string;
      readonly by: Operator;
    }
  | {
      readonly kind: "authority";
      readonly authority: string;
      readonly status: AuthorityStatus;
      readonly by: string;
    };

/** One link of an issuer's audit chain. */
export interface AuditRecord extends Stamped {
  readonly issuer: SpiffeId;
  readonly n: bigint;
  /** Digest of the record before; 64 zeros for the first. */
  readonly prev: string;
  readonly action: AuditAction;
}

/** What an external witness is given to keep. */
export interface AuditCheckpoint extends Stamped, AuditPoint {}
