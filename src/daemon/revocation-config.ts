import { z } from "zod";

const day = 86_400_000;

/** The config file's own makers of shapes, which it lends to its sections. */
interface Shapes {
  readonly section: <Shape extends z.ZodRawShape>(
    shape: Shape,
  ) => z.ZodObject<Shape, z.core.$strict>;
  readonly duration: (from: string, to: string) => z.ZodType<number>;
}

/** The sections `revocation` and `mint` as they are written. */
export interface RevocationFile {
  readonly revocation: {
    /** Milliseconds. */
    readonly nextUpdate?: number | undefined;
  };
  readonly mint: {
    /** Milliseconds. */
    readonly maxTtl: number;
  };
}

/** How long CRLs hold, and SVIDs that an operator mints. */
export interface RevocationConfig {
  /** From when a CRL is made until its nextUpdate. Default: 7 days, or twice the longest life of an SVID where that is longer. */
  readonly crlLifeMs: number;
  /** Default: 1 hour. */
  readonly mintMaxTtlSeconds: number;
}

/** What is written under `revocation` and `mint`. */
export function revocationSections({ section, duration }: Shapes): {
  readonly revocation: z.ZodType<RevocationFile["revocation"]>;
  readonly mint: z.ZodType<RevocationFile["mint"]>;
} {
  return {
    revocation: section({ nextUpdate: duration("1m", "3650d").optional() }).prefault({}),
    mint: section({ maxTtl: z.prefault(duration("1m", "24h"), "1h") }).prefault({}),
  };
}

/** The defaults filled in. `longestLifeMs` is of any SVID. */
export function revocationConfig(file: RevocationFile, longestLifeMs: number): RevocationConfig {
  return {
    crlLifeMs: file.revocation.nextUpdate ?? Math.max(7 * day, leastCrlLifeMs(longestLifeMs)),
    mintMaxTtlSeconds: Math.ceil(file.mint.maxTtl / 1000),
  };
}

/**
 * A CRL is made anew at half of its life. Then a node that loses the issuer has SVIDs that end before its CRLs do, and a CRL past its nextUpdate,
 * which refuses everybody (EF-21), is never what ends the service.
 */
export function leastCrlLifeMs(longestLifeMs: number): number {
  return 2 * longestLifeMs;
}
