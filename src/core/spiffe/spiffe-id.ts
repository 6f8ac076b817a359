declare const trustDomainBrand: unique symbol;
declare const spiffeIdBrand: unique symbol;

/** A trust domain's name without scheme, such as `example.org`. Made by {@link parseTrustDomain} only. */
export type TrustDomain = string & { readonly [trustDomainBrand]: true };

/** A SPIFFE ID in its only spelling, such as `spiffe://example.org/web`. Made by {@link parseSpiffeId} only. */
export type SpiffeId = string & { readonly [spiffeIdBrand]: true };
