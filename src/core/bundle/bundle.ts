import type { TrustDomain } from "../spiffe/spiffe-id.ts";

/** What a trust domain's verifiers trust. One value per trust domain; never merged with another's (BDL-20, FED-07). */
export interface Bundle {
  readonly trustDomain: TrustDomain;
  /** `spiffe_sequence`: grows with every change of content (BDL-03); 64 bits, hence a bigint (BDL-04). */
  readonly sequence: bigint;
  /** `spiffe_refresh_hint` in seconds; undefined when the document gives none (BDL-05). */
  readonly refreshHintSeconds: number | undefined;
  /** DER of each X.509 authority, in the order of the document. Empty: nothing of this domain is trusted (BDL-09). */
  readonly x509Authorities: readonly Uint8Array[];
  /** JWT authorities; empty until the domain publishes some. */
  readonly jwtAuthorities: readonly JwtAuthority[];
}

/** One `use: jwt-svid` entry. */
export interface JwtAuthority {
  readonly keyId: string;
  /** The public JWK as published, without `use` and `kid`. */
  readonly publicJwk: Readonly<Record<string, string>>;
}
