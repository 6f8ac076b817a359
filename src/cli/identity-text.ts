import { X509Certificate } from "node:crypto";
import { certificatesToPem } from "../core/x509/pem.ts";
import type { FetchedIdentities, FetchedSvid } from "./fetch-x509.ts";
import { isoSeconds, printMoment } from "./moment.ts";
import { facts } from "./table.ts";

/** Identities and their validity, for people. No key is in it. */
export function printIdentities(
  fetched: FetchedIdentities,
  at: { readonly took: number; readonly now: number },
): string {
  const { svids, federatedBundles } = fetched;
  const head = `received ${svids.length} X.509-SVID${svids.length === 1 ? "" : "s"} after ${Math.round(at.took)} ms\n`;
  const federated = [...federatedBundles].map(
    ([domain, bundle]) => [`federated with`, `${domain} (${bundle.length} authorities)`] as const,
  );
  const parts = svids.map((svid) => `\n${facts(svidFacts(svid, at.now))}`);
  return [head, ...parts, ...(federated.length === 0 ? [] : [`\n${facts(federated)}`])].join("");
}

/** The same for programs, with the certificates. No key is in it. */
export function identitiesJson(fetched: FetchedIdentities): Readonly<Record<string, unknown>> {
  return {
    svids: fetched.svids.map(({ spiffeId, hint, chain, leaf, bundle }) => ({
      spiffeId,
      hint,
      notBefore: leaf.validFromDate.toISOString(),
      notAfter: leaf.validToDate.toISOString(),
      serial: leaf.serialNumber.toLowerCase(),
      chain: certificatesToPem(chain),
      bundle: certificatesToPem(bundle),
    })),
    federatedBundles: Object.fromEntries(
      [...fetched.federatedBundles].map(([domain, bundle]) => [domain, certificatesToPem(bundle)]),
    ),
  };
}

function svidFacts(svid: FetchedSvid, now: number): readonly (readonly [string, string])[] {
  const { leaf } = svid;
  return [
    ["SPIFFE ID", svid.spiffeId],
    ...(svid.hint === "" ? [] : [["hint", svid.hint] as const]),
    ["serial", leaf.serialNumber.toLowerCase()],
    ["valid from", isoSeconds(leaf.validFromDate.getTime())],
    ["valid until", printMoment(leaf.validToDate.getTime(), now)],
    ...svid.bundle.map((der, index) => {
      const until = new X509Certificate(der).validToDate.getTime();
      return [`authority ${index + 1}`, `valid until ${printMoment(until, now)}`] as const;
    }),
  ];
}
