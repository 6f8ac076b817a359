import type { Bundle } from "../../../src/core/bundle/bundle.ts";
import { parseSpiffeId, parseTrustDomain } from "../../../src/core/spiffe/spiffe-id.ts";
import type { WorkloadView, X509Svid } from "../../../src/core/svid/workload-view.ts";

export const own = "example.org";
export const fed = "partner.test";

/** Bytes that stand for a certificate. */
export const der = (text: string): Buffer => Buffer.from(`der of ${text};`);

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

export function svid(path: string, serial: string, more: Partial<X509Svid> = {}): X509Svid {
  return {
    id: parseSpiffeId(`spiffe://${own}/${path}`),
    chain: [der(`leaf ${path} ${serial}`), der("intermediate")],
    privateKey: der(`key ${path} ${serial}`),
    serial,
    expiresAt: Date.UTC(2100, 0),
    hint: "",
    ...more,
  };
}

export function view(
  svids: readonly X509Svid[],
  bundles: readonly Bundle[] = [bundle(own, 1)],
  synced = true,
): WorkloadView {
  return {
    trustDomain: parseTrustDomain(own),
    svids,
    bundles: new Map(bundles.map((one) => [one.trustDomain, one])),
    crls: new Map(),
    synced,
  };
}
