import type { Bundle } from "../core/bundle/bundle.ts";
import { trustDomainId } from "../core/spiffe/spiffe-id.ts";
import type { WorkloadView, X509Svid } from "../core/svid/workload-view.ts";
import { X509BundlesResponse, X509SVIDResponse } from "../wire/spiffe/workload/workloadapi.ts";
import { WorkloadApiError } from "./error.ts";
import type { DeliveredVersions, SvidCheck, X509Method } from "./ports.ts";

/** A whole message in bytes (WAPI-04). May hold keys: never logged. */
export interface X509Message {
  readonly bytes: Buffer;
  readonly versions: DeliveredVersions;
}

/** What a view says to one kind of stream. */
export type Say =
  | { readonly kind: "message"; readonly message: X509Message }
  /** Nothing to say now and maybe later: a new stream ends with the error, a running one keeps what it was told. */
  | { readonly kind: "later"; readonly error: WorkloadApiError }
  /** Entitled to nothing, for certain (WEP-14): ends new and running streams alike (WAPI-17). */
  | { readonly kind: "never"; readonly error: WorkloadApiError };

/** How messages are made. */
export interface X509MessageOptions {
  readonly check: SvidCheck;
  /** Whether a caller without an identity may read the own bundle; federated ones never (WAPI-19). */
  readonly verifiersWithoutIdentity: boolean;
}

/** WAPI-16. */
const maxHintBytes = 1_024;

/** What to say on a stream of this method about this view. `now`: milliseconds since the epoch. */
export function sayX509(
  method: X509Method,
  view: WorkloadView,
  options: X509MessageOptions & { readonly now: number },
): Say {
  if (view.svids.length === 0) return withoutIdentity(method, view, options);
  const own = view.bundles.get(view.trustDomain);
  // A mandatory field is never sent empty (WAPI-08, WAPI-10); clients would discard the message.
  if (own === undefined || own.x509Authorities.length === 0) {
    return later("the trust domain's bundle has not come yet");
  }
  if (method === "FetchX509Bundles") return message(bundlesMessage(view, usableBundles(view)));
  const fit = view.svids.filter(
    (svid) => svid.expiresAt > options.now && options.check(svid, own) === undefined,
  );
  return fit.length === 0
    ? later("no identity is ready: it is being issued or renewed")
    : message(svidMessage(view, fit, own));
}

function withoutIdentity(method: X509Method, view: WorkloadView, options: X509MessageOptions): Say {
  const own = usableBundles(view).filter((one) => one.trustDomain === view.trustDomain);
  if (method === "FetchX509Bundles" && options.verifiersWithoutIdentity && own.length > 0) {
    return message(bundlesMessage(view, own));
  }
  if (!view.synced) return later("the node has not read its state yet");
  return {
    kind: "never",
    error: new WorkloadApiError("NO_IDENTITY", "no identity issued for this workload"),
  };
}

function later(reason: string): Say {
  return { kind: "later", error: new WorkloadApiError("NOT_READY", reason) };
}

function message(made: X509Message): Say {
  return { kind: "message", message: made };
}

/** Without the empty ones: a client drops what is absent, and an empty field would cost it the message (WAPI-07, WAPI-08). */
function usableBundles(view: WorkloadView): readonly Bundle[] {
  const usable = [...view.bundles.values()].filter((one) => one.x509Authorities.length > 0);
  // Sorted, so that equal views give equal bytes and nothing is sent twice (WAPI-06).
  return usable.toSorted((left, right) => (left.trustDomain < right.trustDomain ? -1 : 1));
}

function svidMessage(view: WorkloadView, svids: readonly X509Svid[], own: Bundle): X509Message {
  const foreign = usableBundles(view).filter((one) => one.trustDomain !== view.trustDomain);
  const hints = uniqueHints(svids);
  const bundle = joined(own.x509Authorities);
  const response = X509SVIDResponse.encode({
    svids: svids.map((svid, index) => ({
      spiffeId: svid.id,
      x509Svid: joined(svid.chain),
      x509SvidKey: Buffer.from(svid.privateKey),
      bundle,
      hint: hints[index] ?? "",
    })),
    crl: crlsOf(view, [own, ...foreign]),
    federatedBundles: byId(foreign),
  });
  return {
    bytes: Buffer.from(response.finish()),
    versions: {
      svids: svids.map(({ serial, expiresAt }) => ({ serial, expiresAt })),
      sequences: sequencesOf([own, ...foreign]),
    },
  };
}

function bundlesMessage(view: WorkloadView, bundles: readonly Bundle[]): X509Message {
  const response = X509BundlesResponse.encode({
    crl: crlsOf(view, bundles),
    bundles: byId(bundles),
  });
  return {
    bytes: Buffer.from(response.finish()),
    versions: { svids: [], sequences: sequencesOf(bundles) },
  };
}

/** A hint that is taken already, or too long, is left out and its identity stays (WAPI-14, WAPI-16, WAPI-09). */
function uniqueHints(svids: readonly X509Svid[]): readonly string[] {
  const taken = new Set<string>();
  return svids.map(({ hint }) => {
    if (taken.has(hint) || Buffer.byteLength(hint) > maxHintBytes) return "";
    taken.add(hint);
    return hint;
  });
}

/** Keyed by the SPIFFE ID of the trust domain, not its name (WAPI-12, WAPI-19). */
function byId(bundles: readonly Bundle[]): Map<string, Buffer> {
  return new Map(
    bundles.map((one) => [trustDomainId(one.trustDomain), joined(one.x509Authorities)]),
  );
}

/** DER, one CRL an element (WAPI-11), of these bundles' domains; go-spiffe and py-spiffe pass over them. */
function crlsOf(view: WorkloadView, bundles: readonly Bundle[]): Buffer[] {
  return bundles.flatMap((one) =>
    (view.crls.get(one.trustDomain)?.crls ?? []).map((der) => Buffer.from(der)),
  );
}

function joined(ders: readonly Uint8Array[]): Buffer {
  return Buffer.concat(ders);
}

function sequencesOf(bundles: readonly Bundle[]): DeliveredVersions["sequences"] {
  return new Map(bundles.map((one) => [one.trustDomain, one.sequence]));
}
