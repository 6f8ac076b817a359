import type { Kind, Role } from "../../../../src/core/envelope/kinds.ts";

/** One envelope and what becomes of it; the file's `about` says the rest. */
export interface Vector {
  readonly title: string;
  /** What the reader expects. */
  readonly kind: Kind;
  readonly role: Role;
  readonly envelope?: string;
  readonly envelopeBase64?: string;
  readonly revoked?: readonly string[];
  readonly expect: string;
  /** Of an accepted one: SHA-256 of the signed bytes. */
  readonly digest?: string;
}

export interface VectorFile {
  readonly about: string;
  readonly trustDomain: string;
  readonly now: number;
  readonly pin: string;
  readonly keys: object;
  readonly cases: readonly Vector[];
}
