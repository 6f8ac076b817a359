import { type Kind, kinds, type Role } from "../../../../src/core/envelope/kinds.ts";

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

/** What a case says: its title, the bytes, the code. */
type Row = readonly [title: string, bytes: Uint8Array, expect: string];

/** A case for the reader of a kind; bytes that are no text are kept as base64. */
export function vectorOf(kind: Kind, [title, bytes, expected]: Row): Vector {
  const text = Buffer.from(bytes).toString("utf8");
  const asText = Buffer.from(text, "utf8").equals(bytes)
    ? { envelope: text }
    : { envelopeBase64: Buffer.from(bytes).toString("base64") };
  const { role } = kinds[kind];
  return { title: `docs/protocol.md#envelope: ${title}`, kind, role, ...asText, expect: expected };
}
