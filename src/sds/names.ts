import type { Bundle } from "../core/bundle/bundle.ts";
import { trustDomainId } from "../core/spiffe/spiffe-id.ts";
import type { WorkloadView, X509Svid } from "../core/svid/workload-view.ts";

/** The short names by which Envoys ask for what is theirs; an empty one is switched off (SPIRE-03). */
export interface SecretNames {
  /** The caller's first identity. */
  readonly svid: string;
  /** The own trust domain's bundle. */
  readonly bundle: string;
  /** The own and all federated bundles. */
  readonly allBundles: string;
}

/** SPIRE's names, which Istio's Envoys use as well (ISTIO-03). */
export const spireNames: SecretNames = { svid: "default", bundle: "ROOTCA", allBundles: "ALL" };

/** What stands under a name. */
export type Named =
  | { readonly kind: "svid"; readonly svid: X509Svid }
  /** `several`: the name promises all domains, however many there are just now. */
  | { readonly kind: "trust"; readonly bundles: readonly Bundle[]; readonly several: boolean };

/** Everything one view has, by name. */
export interface Directory {
  readonly byName: ReadonlyMap<string, Named>;
  /** The names that `*` stands for: each bundle and each SVID once, under its SPIFFE ID (SOTW-11). */
  readonly everything: readonly string[];
  /** Sorted by trust domain. */
  readonly bundles: readonly Bundle[];
}

/** Names for one view. `verifiersWithoutIdentity` gives the own bundle also to callers without an identity (SPIRE-11). */
export function directoryOf(
  view: WorkloadView,
  names: SecretNames,
  verifiersWithoutIdentity: boolean,
): Directory {
  const bundles = entitledBundles(view, verifiersWithoutIdentity);
  const own = view.bundles.get(view.trustDomain);
  const byName = new Map<string, Named>();
  // Later ones win: with both bundle aliases set to one name SPIRE answers with the own bundle (SPIRE-03).
  if (bundles.length > 0) byName.set(names.allBundles, trust(bundles, true));
  if (own !== undefined && bundles.includes(own)) byName.set(names.bundle, trust([own], false));
  const first = view.svids[0];
  if (first !== undefined) byName.set(names.svid, { kind: "svid", svid: first });
  byName.delete("");

  const everything = new Map<string, Named>(
    bundles.map((bundle) => [trustDomainId(bundle.trustDomain), trust([bundle], false)]),
  );
  for (const svid of view.svids) {
    // Two entries may give one SPIFFE ID; a response never has a name twice (XDS-08), so the first is served.
    if (!everything.has(svid.id)) everything.set(svid.id, { kind: "svid", svid });
  }
  return {
    byName: new Map([...byName, ...everything]),
    everything: [...everything.keys()],
    bundles,
  };
}

function trust(bundles: readonly Bundle[], several: boolean): Named {
  return { kind: "trust", bundles, several };
}

function entitledBundles(view: WorkloadView, verifiersWithoutIdentity: boolean): readonly Bundle[] {
  const all = [...view.bundles.values()];
  if (view.svids.length > 0) return all.toSorted(byTrustDomain);
  return all.filter((one) => verifiersWithoutIdentity && one.trustDomain === view.trustDomain);
}

/** By code units, not by locale: the order must be the same on every node (SPIRE-04, SDS-04). */
function byTrustDomain(left: Bundle, right: Bundle): number {
  return left.trustDomain < right.trustDomain ? -1 : 1;
}
