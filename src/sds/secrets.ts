import { createHmac } from "node:crypto";
import type { Bundle } from "../core/bundle/bundle.ts";
import { type TrustDomain, trustDomainId } from "../core/spiffe/spiffe-id.ts";
import type { CrlSet, WorkloadView, X509Svid } from "../core/svid/workload-view.ts";
import {
  type EncodedSecret,
  encodeResource,
  encodeSvid,
  encodeTrust,
  type TrustedDomain,
} from "./encode.ts";
import type { Validator } from "./envoy-node.ts";
import { SdsError } from "./error.ts";
import { directoryOf, type Named, type SecretNames, spireNames } from "./names.ts";
import type { SecretSource, ServableCheck } from "./ports.ts";
import { shelf } from "./shelf.ts";

/** What a catalogue is made from. */
export interface SecretCatalogOptions {
  /** Keys the content hashes, so that a version tells nothing about a private key; the same over restarts (DELTA-09). */
  readonly versionKey: Uint8Array;
  readonly check: ServableCheck;
  /** Defaults to {@link spireNames}. */
  readonly names?: SecretNames;
  /** Whether a caller without an identity gets the own bundle. Defaults to false (SPIRE-11). */
  readonly verifiersWithoutIdentity?: boolean;
  /**
   * DER of a CA whose key was thrown away. Pushed in place of a bundle that emptied or went away, because Envoy ignores
   * removals and would trust the old one for ever (EF-42, EDGE-17). Without it such a bundle is left as it was.
   */
  readonly nobody?: Uint8Array;
}

/** Views in, secrets out; each secret is checked and encoded once, whoever asks. */
export interface SecretCatalog {
  snapshot(view: WorkloadView): Snapshot;
}

/** What one view answers by name. */
export interface Snapshot {
  readonly synced: boolean;
  /** Compared by identity: a different list means that trust may have changed (SDS-07). */
  readonly bundles: readonly Bundle[];
  /** The names that `*` stands for. */
  readonly everything: readonly string[];
  find(name: string, asked: Asked): Found;
}

/** Who asks for a name, and when. */
interface Asked {
  readonly validator: Validator;
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** Whether this stream was given trust under the name before. */
  readonly trusted: boolean;
}

/** The answer for one name. */
export type Found =
  | { readonly kind: "secret"; readonly secret: EncodedSecret }
  | { readonly kind: "absent"; readonly reason: AbsentReason; readonly detail: string }
  | { readonly kind: "impossible"; readonly error: SdsError };

/** `unknown` is final as of this view; `unsynced` may still come; `held` exists and is not fit to be sent (SDS-05). */
export type AbsentReason = "unknown" | "unsynced" | "held";

interface Recipe {
  readonly source: SecretSource;
  encode(): Uint8Array;
}

/** Makes a catalogue; one for the whole process, so that streams share what it encodes. */
export function secretCatalog(options: SecretCatalogOptions): SecretCatalog {
  const names = options.names ?? spireNames;
  const made = shelf<EncodedSecret>();
  const make = (name: string, recipe: Recipe): EncodedSecret => {
    const bytes = recipe.encode();
    const version = createHmac("sha256", options.versionKey).update(bytes).digest("base64url");
    return { name, version, source: recipe.source, resource: encodeResource(bytes) };
  };
  const kitchen: Kitchen = {
    svid: (name, svid) =>
      made([svid], name, () =>
        make(name, {
          source: { kind: "svid", serial: svid.serial, expiresAt: svid.expiresAt },
          encode: () => encodeSvid(name, svid),
        }),
      ),
    trust: (name, parts, validator) =>
      made(
        [...parts.map(([bundle]) => bundle), ...parts.map(([, crls]) => crls)],
        `${validator} ${name}`,
        () =>
          make(name, {
            source: { kind: "bundle", sequences: sequencesOf(parts.map(([bundle]) => bundle)) },
            encode: () => encodeTrust(name, parts.map(orNobody(options.nobody)), validator),
          }),
      ),
    nobody: (name, der, validator) =>
      make(name, {
        source: { kind: "bundle", sequences: new Map() },
        encode: () => encodeTrust(name, [onlyNobody(name, der)], validator),
      }),
    svidFault: rememberPasses((svid: X509Svid, own: Bundle) => options.check.svid(svid, own)),
    bundleFault: rememberPasses((bundle: Bundle) => options.check.bundle(bundle)),
    // Not remembered: CRLs that were in date do not stay so.
    fitCrls: (crls, bundle) =>
      crls === undefined || options.check.crls(crls, bundle) !== undefined ? noCrls : crls,
  };
  const snapshots = new WeakMap<WorkloadView, Snapshot>();
  return {
    snapshot(view) {
      const known = snapshots.get(view) ?? snapshotOf(view, { ...options, names }, kitchen);
      snapshots.set(view, known);
      return known;
    },
  };
}

interface Kitchen {
  svid(name: string, svid: X509Svid): EncodedSecret;
  trust(name: string, parts: readonly TrustPart[], validator: Validator): EncodedSecret;
  nobody(name: string, der: Uint8Array, validator: Validator): EncodedSecret;
  svidFault(svid: X509Svid, own: Bundle): string | undefined;
  bundleFault(bundle: Bundle): string | undefined;
  /** Those CRLs if they are fit, else none: without them revoked peers are let in, with unfit ones nobody is (EF-21). */
  fitCrls(crls: CrlSet | undefined, bundle: Bundle): CrlSet;
}

/** What a verifier is told of one trust domain. */
type TrustPart = readonly [Bundle, CrlSet];

const noCrls: CrlSet = { crls: [], intermediates: [] };

function snapshotOf(
  view: WorkloadView,
  options: SecretCatalogOptions & { readonly names: SecretNames },
  kitchen: Kitchen,
): Snapshot {
  const directory = directoryOf(view, options.names, options.verifiersWithoutIdentity ?? false);
  return {
    synced: view.synced,
    bundles: directory.bundles,
    everything: directory.everything,
    find(name, asked) {
      const named = directory.byName.get(name);
      if (named === undefined) return vanished(name, asked) ?? missing(view);
      return named.kind === "svid"
        ? findSvid(name, named.svid, asked)
        : findTrust(name, named, asked);
    },
  };

  function findSvid(name: string, svid: X509Svid, asked: Asked): Found {
    const own = view.bundles.get(view.trustDomain);
    if (own === undefined) return held("its trust domain's bundle has not come yet");
    if (svid.expiresAt <= asked.now) return held("it has expired");
    const fault = kitchen.svidFault(svid, own);
    return fault === undefined ? { kind: "secret", secret: kitchen.svid(name, svid) } : held(fault);
  }

  function findTrust(name: string, named: Named & { kind: "trust" }, asked: Asked): Found {
    if (named.several && asked.validator === "trusted-ca")
      return { kind: "impossible", error: flatAll(name) };
    // Of several, one that is not fit leaves the others served; a context with none left is never sent (EF-26).
    const fit = named.bundles.filter((one) =>
      isUsable(one)
        ? !named.several || kitchen.bundleFault(one) === undefined
        : !named.several && options.nobody !== undefined,
    );
    const fault = fit.filter(isUsable).map((one) => kitchen.bundleFault(one))[0];
    if (fault !== undefined) return held(fault);
    if (fit.length === 0) return held("no authority is trusted");
    const parts = fit.map((one): TrustPart => {
      const crls = isUsable(one) ? view.crls.get(one.trustDomain) : undefined;
      return [one, kitchen.fitCrls(crls, one)];
    });
    return { kind: "secret", secret: kitchen.trust(name, parts, asked.validator) };
  }

  /** A federated domain that this stream was told to trust and that is no longer the caller's to trust. */
  function vanished(name: string, asked: Asked): Found | undefined {
    const gone = asked.trusted && view.synced && view.svids.length > 0;
    if (!gone || options.nobody === undefined || name === trustDomainId(view.trustDomain))
      return undefined;
    if (!name.startsWith("spiffe://")) return undefined;
    return { kind: "secret", secret: kitchen.nobody(name, options.nobody, asked.validator) };
  }
}

function isUsable(bundle: Bundle): boolean {
  return bundle.x509Authorities.length > 0;
}

function held(detail: string): Found {
  return { kind: "absent", reason: "held", detail };
}

function missing(view: WorkloadView): Found {
  return view.synced
    ? { kind: "absent", reason: "unknown", detail: "nothing of that name is this caller's" }
    : { kind: "absent", reason: "unsynced", detail: "the node has not read its state yet" };
}

/** EF-24: one flat list of several domains' authorities lets each domain speak for the others. */
function flatAll(name: string): SdsError {
  return new SdsError(
    "VALIDATOR_NEEDED",
    `"${name}" holds several trust domains and needs Envoy's SPIFFE validator (1.18 or later, not disabled); ask for one trust domain's bundle instead`,
  );
}

function orNobody(nobody: Uint8Array | undefined): (part: TrustPart) => TrustedDomain {
  return ([{ trustDomain, x509Authorities }, { crls }]) =>
    x509Authorities.length > 0 || nobody === undefined
      ? { trustDomain, x509Authorities, crls }
      : { trustDomain, x509Authorities: [nobody], crls: [] };
}

function onlyNobody(name: string, der: Uint8Array): TrustedDomain {
  return { trustDomain: name.slice("spiffe://".length), x509Authorities: [der], crls: [] };
}

function sequencesOf(bundles: readonly Bundle[]): ReadonlyMap<TrustDomain, bigint> {
  return new Map(bundles.map((bundle) => [bundle.trustDomain, bundle.sequence]));
}

/** A pass holds for good, because views are immutable; a fault is looked at again: "not yet valid" mends itself. */
function rememberPasses<Rest extends readonly object[]>(
  check: (...material: Rest) => string | undefined,
): (...material: Rest) => string | undefined {
  const passed = shelf<true>();
  return (...material) => {
    let fault: string | undefined;
    passed(material, "", () => {
      fault = check(...material);
      return fault === undefined ? true : undefined;
    });
    return fault;
  };
}
