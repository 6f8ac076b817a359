import type { Bundle } from "../../../src/core/bundle/bundle.ts";
import { parseSpiffeId, parseTrustDomain } from "../../../src/core/spiffe/spiffe-id.ts";
import type { WorkloadView, X509Svid } from "../../../src/core/svid/workload-view.ts";
import type { ServableCheck } from "../../../src/sds/ports.ts";
import { type SecretCatalogOptions, secretCatalog } from "../../../src/sds/secrets.ts";

/** Far enough for every test that is not about expiry. */
const farFuture: number = Date.UTC(2100, 0);

export const own = "example.org";

/** Bytes that stand for a certificate; the check that would parse them is a port. */
export const der = (text: string): Uint8Array => Buffer.from(`der of ${text}`);

export function bundle(
  trustDomain: string,
  sequence: number,
  authorities?: readonly string[],
): Bundle {
  return {
    trustDomain: parseTrustDomain(trustDomain),
    sequence: BigInt(sequence),
    refreshHintSeconds: undefined,
    x509Authorities: (authorities ?? [`${trustDomain} root ${sequence}`]).map(der),
    jwtAuthorities: [],
  };
}

export function svid(path: string, serial: string, expiresAt: number = farFuture): X509Svid {
  return {
    id: parseSpiffeId(`spiffe://${own}/${path}`),
    chain: [der(`leaf ${path} ${serial}`), der("intermediate")],
    privateKey: der(`key ${path} ${serial}`),
    serial,
    expiresAt,
    hint: "",
  };
}

export function view(
  parts: Partial<Omit<WorkloadView, "bundles">> & { readonly bundles?: readonly Bundle[] },
): WorkloadView {
  const bundles = parts.bundles ?? [bundle(own, 1)];
  return {
    trustDomain: parseTrustDomain(own),
    svids: parts.svids ?? [],
    bundles: new Map(bundles.map((one) => [one.trustDomain, one])),
    crls: parts.crls ?? new Map(),
    synced: parts.synced ?? true,
  };
}

/** Finds nothing wrong. */
export const passAll: ServableCheck = {
  svid: () => undefined,
  bundle: () => undefined,
  crls: () => undefined,
};

export function catalog(
  options: Partial<SecretCatalogOptions> = {},
): ReturnType<typeof secretCatalog> {
  return secretCatalog({ versionKey: Buffer.alloc(32, 7), check: passAll, ...options });
}
