import { z } from "zod";
import { parseSelector, type Selector } from "../spiffe/selector.ts";
import {
  parseSpiffeId,
  parseTrustDomain,
  type SpiffeId,
  type TrustDomain,
} from "../spiffe/spiffe-id.ts";
import type { Version } from "./version.ts";

/** How single members of payloads are written: the only place where JSON meets branded values. */

const maxUint64 = 2n ** 64n - 1n;

/** Milliseconds since the epoch. */
export const time: z.ZodType<number> = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);

/** A whole number that JSON carries exactly. */
export const count: z.ZodType<number> = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);

/** Free text, bounded so that no payload grows by it. */
export const text: z.ZodType<string> = z.string().max(2048);

/** SHA-256 or key id, lower-case hex. */
export const digest: z.ZodType<string> = z.string().regex(/^[0-9a-f]{64}$/);

/**
 * Binary as standard base64, padded, the unused bits of the last letter zero (RFC 4648, section 3.5): every byte string has one spelling. Told by
 * writing it again: Node's decoder takes more than that, but its encoder writes nothing else, and both are faster than any pattern.
 */
export const base64: z.ZodType<string> = z
  .string()
  .refine((written) => Buffer.from(written, "base64").toString("base64") === written, {
    error: "not standard base64 in its one spelling",
  });

/** A 64-bit unsigned integer as a decimal string without leading zeros, since JSON numbers end at 2^53. */
export const uint64: z.ZodType<bigint> = decoded(
  z.string().regex(/^(?:0|[1-9][0-9]{0,19})$/),
  (written) => {
    const value = BigInt(written);
    if (value > maxUint64) throw new RangeError("above 2^64 - 1");
    return value;
  },
);

/** All three members, each a decimal string. */
export const version: z.ZodType<Version> = z.strictObject({
  epoch: uint64,
  term: uint64,
  seq: uint64,
});

export const trustDomain: z.ZodType<TrustDomain> = decoded(z.string(), parseTrustDomain);

/** Parsed, never a bare string: everything behind this line holds a {@link SpiffeId}. */
export const spiffeId: z.ZodType<SpiffeId> = decoded(z.string(), parseSpiffeId);

export const selector: z.ZodType<Selector> = decoded(z.string(), parseSelector);

/** Lower-case tokens that are safe in a NATS subject and a KV key. */
export const token: z.ZodType<string> = z.string().regex(/^[a-z0-9-]{1,64}$/);

/** Turns a parser that throws into a zod type that reports the same sentence. */
function decoded<T>(written: z.ZodType<string>, parse: (text: string) => T): z.ZodType<T> {
  return written.transform((value, context) => {
    try {
      return parse(value);
    } catch (thrown) {
      context.addIssue({
        code: "custom",
        message: thrown instanceof Error ? thrown.message : String(thrown),
      });
      return z.NEVER;
    }
  });
}
