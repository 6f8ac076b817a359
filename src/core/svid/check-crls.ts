import type { Bundle } from "../bundle/bundle.ts";
import { parseCertificate } from "../x509/certificate.ts";
import { type Crl, parseCrl } from "../x509/crl-reader.ts";
import { type CrlFacts, coverOf, intermediatesBelow, proveCrl } from "./crl-cover.ts";
import { SvidError } from "./errors.ts";
import type { CrlSet } from "./workload-view.ts";

/**
 * Everything that must hold before CRLs go to an Envoy beside a bundle: with a CRL that no authority signed, one that has ended, or one
 * that is lacking, Envoy acknowledges and refuses every peer (EF-21). Takes nothing from whoever proved them before.
 * @returns until when this holds, milliseconds since the epoch
 * @throws {SvidError} SVID_CRL, SVID_CRL_GAP
 */
export function checkServableCrls(
  set: CrlSet,
  bundle: Bundle,
  { stale, now }: Pick<CrlFacts, "stale" | "now">,
): number {
  const anchors = bundle.x509Authorities.map(parseCertificate);
  const intermediates = intermediatesBelow(anchors, set.intermediates.map(parseCertificate), now);
  const crls = set.crls.map((der) => proven(der, [...anchors, ...intermediates]));
  const cover = coverOf({ anchors, intermediates, active: "", crls, stale, now });
  if (cover.gap !== undefined) {
    const { kind, authority } = cover.gap;
    throw new SvidError(
      "SVID_CRL_GAP",
      `CRLs: that of authority ${authority} is ${kind}; leave all of them out`,
    );
  }
  // Two of one authority, or one of an authority that has expired: nobody needs it, and Envoy would choose for itself.
  if (crls.length === 0 || cover.crls.length !== crls.length) {
    throw refusal("more or fewer than one of each authority");
  }
  return cover.nextLook;
}

function proven(der: Uint8Array, authorities: Parameters<typeof proveCrl>[1]): Crl {
  let crl: Crl;
  try {
    crl = parseCrl(der);
    if (proveCrl(crl, authorities) !== undefined) return crl;
  } catch (cause) {
    throw new SvidError("SVID_CRL", "CRLs: one is malformed or not its authority's", { cause });
  }
  throw refusal(`one is of authority ${crl.authorityKeyId}, which the bundle has not`);
}

function refusal(what: string): SvidError {
  return new SvidError("SVID_CRL", `CRLs: ${what}; leave all of them out`);
}
