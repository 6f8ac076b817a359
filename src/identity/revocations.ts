import type { Bundle } from "../core/bundle/bundle.ts";
import {
  type CrlCover,
  type CrlGap,
  coverOf,
  intermediatesBelow,
  isIssuedBy,
  proveCrl,
  type StaleCrls,
} from "../core/svid/crl-cover.ts";
import type { CrlSet } from "../core/svid/workload-view.ts";
import { type Certificate, parseCertificate } from "../core/x509/certificate.ts";
import { type Crl, parseCrl } from "../core/x509/crl-reader.ts";
import { X509Error } from "../core/x509/errors.ts";
import type { Clock, Timer } from "../kit/clock.ts";
import { reasonOf } from "../kit/errors.ts";
import type { Log } from "../kit/log.ts";
import type { Metrics } from "../kit/metrics.ts";

/** What the node's state says about revocation. */
export interface RevocationState {
  /** CRLs as published, base64 of DER: signed along with the state, and believed no further than their own signatures hold. */
  readonly published: readonly string[];
  readonly bundle: Bundle | undefined;
  /** Subject key id of the authority that signs now, hex; empty when unknown. */
  readonly activeAuthority: string;
  /** Certificates out of the chains of this node's SVIDs, DER: among them may be authorities below the bundle's. */
  readonly intermediates: readonly Uint8Array[];
}

export interface RevocationsOptions {
  readonly stale: StaleCrls;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Called when {@link Revocations.crls} has changed by the passing of time. */
  readonly onChange: () => void;
}

/**
 * The own trust domain's CRLs on their way to verifiers: proves each against an authority of the bundle, never goes back to a lower
 * CRLNumber, and decides, now and as time passes, whether all of them or none are shown.
 *
 * A CRL stays until its authority publishes a higher one or leaves the bundle, or until no CRL at all is published, which says that
 * nobody is revoked: one that is left out among others must not let a revoked peer back in.
 */
export class Revocations {
  readonly #options: RevocationsOptions;
  /** By key id and name of their authority, the newest of each. */
  readonly #proven = new Map<string, Crl>();
  #state: RevocationState = {
    published: [],
    bundle: undefined,
    activeAuthority: "",
    intermediates: [],
  };
  #anchors: readonly Certificate[] = [];
  #others: readonly Certificate[] = [];
  #crls: CrlSet | undefined;
  #gap: CrlGap | undefined;
  #ageing = "";
  #isOver = false;
  #timer: Timer | undefined;
  #stopped = false;

  constructor(options: RevocationsOptions) {
    this.#options = options;
  }

  /** For verifiers; the same value while nothing changed. Undefined when nobody is revoked, or when {@link Revocations.gap} says why not. */
  get crls(): CrlSet | undefined {
    return this.#crls;
  }

  /** Why revoked peers are let in: there are CRLs, and they cannot be used. */
  get gap(): CrlGap | undefined {
    return this.#gap;
  }

  /** Takes over new state. */
  update(state: RevocationState): void {
    const before = this.#state;
    const isNew =
      !isSameList(state.published, before.published) ||
      state.bundle !== before.bundle ||
      !isSameBytes(state.intermediates, before.intermediates);
    this.#state = state;
    if (isNew) this.#judge();
    this.#look();
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  #judge(): void {
    const { published, bundle, intermediates } = this.#state;
    this.#anchors = readable(bundle?.x509Authorities ?? []);
    this.#others = intermediatesBelow(
      this.#anchors,
      readable(intermediates),
      this.#options.clock.now(),
    );
    const authorities = [...this.#anchors, ...this.#others];
    const known = new Set(authorities.map((one) => keyOf(one.subjectKeyId ?? "", one.subject)));
    for (const key of this.#proven.keys())
      if (published.length === 0 || !known.has(key)) this.#proven.delete(key);
    for (const text of published) this.#take(text, authorities);
  }

  #take(text: string, authorities: readonly Certificate[]): void {
    try {
      const crl = parseCrl(Buffer.from(text, "base64"));
      const { authorityKeyId: authority, number } = crl;
      if (proveCrl(crl, authorities) === undefined) {
        // Of an authority whose bundle is still on its way, or has left: nothing to be alarmed about.
        this.#options.log.info({ authority }, "a CRL of an authority that the bundle has not");
        return;
      }
      const key = keyOf(authority, crl.issuer);
      const held = this.#proven.get(key);
      if (held === undefined || number > held.number) this.#proven.set(key, crl);
      else if (number < held.number)
        this.#refuse("rollback", `CRL ${number} of authority ${authority} after ${held.number}`);
      // By what is signed: ECDSA gives another signature each time.
      else if (!Buffer.from(held.tbs).equals(crl.tbs))
        this.#refuse("equivocation", `CRL ${number} of authority ${authority} has two contents`);
    } catch (thrown) {
      this.#refuse(thrown instanceof X509Error ? thrown.code : "unreadable", reasonOf(thrown));
    }
  }

  #refuse(code: string, reason: string): void {
    this.#options.metrics.increment("herald_node_crls_refused_total", { code });
    this.#options.log.error(
      { alarm: "bad-crl", code, reason },
      "a CRL does not hold; not using it",
    );
  }

  /** What may be shown at this moment. True when that is something else than before. */
  #look(): boolean {
    const { clock, stale } = this.#options;
    const now = clock.now();
    const cover = coverOf({
      anchors: this.#anchors,
      intermediates: this.#others,
      active: this.#state.activeAuthority,
      crls: [...this.#proven.values()],
      stale,
      now,
    });
    this.#tell(cover, now);
    this.#schedule(cover.nextLook, now);
    return this.#keep(cover.crls);
  }

  #keep(crls: readonly Crl[]): boolean {
    const issuers = this.#others.filter((one) => crls.some((crl) => isIssuedBy(crl, one)));
    const set = { crls: crls.map(({ der }) => der), intermediates: issuers.map(({ der }) => der) };
    const before = this.#crls ?? { crls: [], intermediates: [] };
    const isSame =
      isSameBytes(set.crls, before.crls) && isSameBytes(set.intermediates, before.intermediates);
    if (!isSame) this.#crls = crls.length === 0 ? undefined : set;
    return !isSame;
  }

  #tell(cover: CrlCover, now: number): void {
    const { log, metrics } = this.#options;
    const { gap, ends } = cover;
    metrics.set("herald_node_crls", cover.crls.length);
    metrics.set("herald_node_crls_stripped", gap === undefined ? 0 : 1);
    if (ends !== undefined) metrics.set("herald_node_crl_next_update_seconds", (ends - now) / 1000);
    const [before, after] = [nameOf(this.#gap), nameOf(gap)];
    if (gap !== undefined && before !== after)
      log.error({ alarm: "crls-stripped", ...gap }, reasonOfGap(gap));
    if (gap === undefined && before !== after)
      log.info({}, "CRLs are complete: revoked peers are refused");
    this.#gap = gap;
    this.#tellAges(cover, now);
  }

  #tellAges({ ageing, crls, ends }: CrlCover, now: number): void {
    const { log } = this.#options;
    const names = ageing.join(" ");
    if (names !== this.#ageing && names !== "")
      log.error(
        { alarm: "crl-ageing", authorities: ageing, ends },
        "CRLs are in the last third of their life: the issuer does not renew them, or nothing new arrives",
      );
    this.#ageing = names;
    const isOver = crls.length > 0 && ends !== undefined && ends <= now;
    if (isOver && !this.#isOver)
      log.error(
        { alarm: "crls-stale", ends },
        "a CRL is past its nextUpdate and is left in place, as revocation.stale: refuse has it: Envoys refuse its authority's peers",
      );
    this.#isOver = isOver;
  }

  #schedule(at: number, now: number): void {
    this.#timer?.cancel();
    if (this.#stopped || !Number.isFinite(at)) return;
    this.#timer = this.#options.clock.after(at - now, () => {
      if (this.#look()) this.#options.onChange();
    });
  }
}

/** For people: why revoked peers are let in, and what to do. */
export function reasonOfGap({ kind, authority }: CrlGap): string {
  const cure = "no CRL is shown to Envoys, and revoked peers are let in until they expire";
  switch (kind) {
    case "missing":
      return `authority ${authority} has no CRL while others have: ${cure}; let the issuer publish one`;
    case "early":
      return `the CRL of authority ${authority} is not valid yet: ${cure}; check NTP here, then at the issuer`;
    case "stale":
      return `the CRL of authority ${authority} is past its nextUpdate: ${cure}; let the issuer publish a new one`;
  }
}

function nameOf(gap: CrlGap | undefined): string {
  return gap === undefined ? "" : `${gap.kind} ${gap.authority}`;
}

function keyOf(authorityKeyId: string, name: Uint8Array): string {
  return `${authorityKeyId} ${Buffer.from(name).toString("hex")}`;
}

/** Without what cannot be read: the guard before Envoy is stricter. */
function readable(ders: readonly Uint8Array[]): readonly Certificate[] {
  return ders.flatMap((der) => {
    try {
      return [parseCertificate(der)];
    } catch {
      return [];
    }
  });
}

function isSameList(a: readonly string[], b: readonly string[]): boolean {
  return a === b || (a.length === b.length && a.every((one, index) => one === b[index]));
}

function isSameBytes(a: readonly Uint8Array[], b: readonly Uint8Array[]): boolean {
  return (
    a.length === b.length &&
    a.every((one, index) => Buffer.from(one).equals(b[index] ?? new Uint8Array()))
  );
}
