import type { Operator } from "../../core/envelope/audit-payloads.ts";
import { revocationsKey, revokedKey } from "../../core/envelope/object-keys.ts";
import { spiffeSequence } from "../../core/envelope/version.ts";
import type { TrustDomain } from "../../core/spiffe/spiffe-id.ts";
import { parseCertificate } from "../../core/x509/certificate.ts";
import { parseCrl } from "../../core/x509/crl-reader.ts";
import type { CrlReason } from "../../core/x509/crl-writer.ts";
import type { Clock } from "../../kit/clock.ts";
import type { Log } from "../../kit/log.ts";
import type { Metrics } from "../../kit/metrics.ts";
import type { Announcer } from "../announcer.ts";
import type { AuditChain } from "../audit/audit-chain.ts";
import type { Authorities } from "../authorities/authorities.ts";
import { IssuerError } from "../error.ts";
import type { AuthorityKeys } from "../ports.ts";
import type { Change, TrustedAuthority } from "../state/change.ts";
import type { SignedState } from "../state/signed-state.ts";
import { type CrlGap, type CrlSet, Crls, madeAt, publishedOf } from "./crls.ts";
import type { LedgerSvid } from "./ledger.ts";
import {
  countOf,
  hasEnded,
  type Revoked,
  type RevokedList,
  revokedIn,
  serialsOf,
  withoutEnded,
  withRevoked,
} from "./revoked-list.ts";

/** What ended is taken off the lists this often at most: each time every Envoy gets them anew. */
const tidyEveryMs = 6 * 3_600_000;

/** After a refresh that failed for one authority; the others' CRLs are made anew with every attempt. */
const retryMs = 600_000;

/** So many serials stand in one audit record, far below what a message carries. */
const serialsPerRecord = 2000;

export interface RevocationsOptions {
  readonly trustDomain: TrustDomain;
  readonly state: SignedState;
  readonly authorities: Authorities;
  readonly keys: AuthorityKeys;
  readonly audit: AuditChain;
  readonly announcer: Announcer;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  /** From when a CRL is made until its nextUpdate; it is made anew at half of it. */
  readonly crlLifeMs: number;
}

/** An SVID to revoke: as the ledger knows it, or as much as an operator knows. */
export type Condemned = Pick<LedgerSvid, "serial" | "authority" | "notAfter"> &
  Partial<Pick<LedgerSvid, "spiffeId" | "node" | "entry" | "issuedAt">>;

/** What is to be revoked, and who says so. */
export interface RevocationOrder {
  /** What was named, for the audit chain. */
  readonly subject: string;
  readonly svids: readonly Condemned[];
  readonly reason: CrlReason;
  /** null: the issuer itself. */
  readonly by: Operator | null;
}

/** What came of an order. */
export interface RevocationOutcome {
  readonly revoked: readonly Condemned[];
  /** Revoked before; nothing was done about them. */
  readonly already: readonly Condemned[];
  /** Recorded, but no CRL says so: of these authorities none can be made. */
  readonly unenforced: readonly CrlGap[];
}

/**
 * What counts no more before its end. The truth is a signed list that issuers alone read; the CRLs that nodes read are made from it, in the same
 * write. A crash between the two leaves the list, and every start makes the CRLs anew.
 */
export class Revocations {
  readonly #options: RevocationsOptions;
  readonly #crls: Crls;
  /** What stands behind the CRLs that were written, or are about to be. */
  #made: { readonly crls: readonly string[]; readonly set: CrlSet } | undefined;
  #retryAt = 0;

  constructor(options: RevocationsOptions) {
    this.#options = options;
    this.#crls = new Crls({ keys: options.keys, lifeMs: options.crlLifeMs });
  }

  /** Everything that is revoked and not forgotten yet. */
  list(): readonly Revoked[] {
    return revokedIn(this.#list());
  }

  /** The CRLs that are published, and those that are not as they should be. */
  status(): CrlSet {
    const { state, trustDomain } = this.#options;
    const crls = state.get("revocations", revocationsKey(trustDomain))?.crls ?? [];
    if (this.#made?.crls !== crls) this.#made = { crls, set: this.#readBack(crls) };
    return this.#made.set;
  }

  /**
   * Revokes; resolves when it is durable and nodes can read it. What is revoked already is left as it is.
   * @throws IssuerError AUDIT_UNAVAILABLE, REVOCATIONS_FULL, FENCED: nothing is revoked. STORE_PENDING: revoked, and nodes hear of it when the bus is back.
   */
  async revoke(order: RevocationOrder): Promise<RevocationOutcome> {
    const { subject, svids, reason } = order;
    const known = serialsOf(this.#list());
    const already = svids.filter(({ serial }) => known.has(serial));
    const fresh = svids.filter(({ serial }) => !known.has(serial));
    await this.#audit(order, fresh);
    if (fresh.length > 0) {
      const at = this.#options.clock.now();
      await this.#write((list) =>
        withRevoked(
          list,
          fresh.map((one) => ({ ...one, reason, at })),
        ),
      );
      for (const svid of fresh) this.#announce(svid, reason);
    }
    const unenforced = this.#gapsOf(svids);
    this.#options.log.warn(
      { subject, reason, revoked: fresh.length, already: already.length, unenforced },
      "SVIDs revoked",
    );
    return { revoked: fresh, already, unenforced };
  }

  /** Makes all CRLs anew: at the start of a term, and whenever they are due. */
  async signAnew(): Promise<void> {
    await this.#write((list) => list);
  }

  /** To be called about once a second. Rejects where nothing could be written; the next call tries again. */
  async tick(): Promise<void> {
    const now = this.#options.clock.now();
    this.#measure(now);
    if (now < this.#retryAt || !this.#isDue(now)) return;
    await this.signAnew();
    const { stale, uncovered } = this.status();
    this.#retryAt = stale.length + uncovered.length === 0 ? 0 : now + retryMs;
  }

  /**
   * What must be written before these changes: a bundle that begins to trust an authority comes after a CRL of it, for OpenSSL and its kin refuse
   * everybody below an authority without one. The content throws CRL_UNSIGNED when that authority cannot sign one.
   */
  before(changes: readonly Change[]): readonly Change[] {
    const trusts = changes.find((change) => change.trusts !== undefined)?.trusts;
    if (trusts === undefined || countOf(this.#list()) === 0) return [];
    const covered = new Set(this.status().crls.map(({ authority }) => authority));
    if (trusts.every(({ authority }) => covered.has(authority))) return [];
    return [this.#crlChange(this.#list(), trusts, { refusing: covered.size > 0 })];
  }

  async #audit(order: RevocationOrder, fresh: readonly Condemned[]): Promise<void> {
    const { subject, reason, by } = order;
    for (let from = 0; from === 0 || from < fresh.length; from += serialsPerRecord) {
      const svids = fresh
        .slice(from, from + serialsPerRecord)
        .map(({ serial, authority }) => ({ serial, authority }));
      await this.#options.audit.record({ kind: "svids-revoked", subject, reason, svids, by });
    }
  }

  /** The list and the CRLs that follow from it, in one write; the list comes first, for a start can make the CRLs and nobody can make the list. */
  async #write(decide: (list: RevokedList) => RevokedList): Promise<void> {
    try {
      await this.#options.state.change(() => {
        const held = this.#list();
        const list = decide(withoutEnded(held, this.#lastTold()));
        const crls = this.#crlChange(list, this.#options.authorities.trusted());
        return list === held ? [crls] : [listChange(list), crls];
      });
      this.#alarm();
    } catch (thrown) {
      if (!(thrown instanceof IssuerError) || thrown.code !== "OBJECT_TOO_LARGE") throw thrown;
      throw new IssuerError(
        "REVOCATIONS_FULL",
        `${countOf(this.#list())} serials are revoked, and there is no room for these beside them; taint their authority instead (\`herald ca taint\`), which ends everything that it signed`,
        { cause: thrown },
      );
    }
  }

  #alarm(): void {
    const { stale, uncovered } = this.status();
    for (const gap of stale)
      this.#options.log.error(
        { alarm: "crl-stale", ...gap },
        "the CRL of an authority could not be made anew, the last one stands: when it ends, verifiers refuse everybody below that authority. Mend its key, or rotate it out of the bundle",
      );
    for (const gap of uncovered)
      this.#options.log.error(
        { alarm: "crl-missing", ...gap },
        "an authority that is trusted has no CRL, so none is published and nothing revoked is refused. Mend its key, or rotate it out of the bundle",
      );
  }

  #crlChange(
    list: RevokedList,
    authorities: readonly TrustedAuthority[],
    { refusing }: { readonly refusing: boolean } = { refusing: false },
  ): Change {
    const last = this.status().crls;
    return {
      kind: "revocations",
      key: revocationsKey(this.#options.trustDomain),
      content: async (stamp) => {
        const number = spiffeSequence(stamp.version);
        const wanted = { authorities, list, number, now: stamp.at, last };
        const set = countOf(list) === 0 ? nothing : await this.#crls.make(wanted);
        const [gap] = set.uncovered;
        if (refusing && gap !== undefined) throw unsigned(gap);
        const crls = set.crls.map(({ der }) => Buffer.from(der).toString("base64"));
        this.#made = { crls, set };
        return { ...stamp, crls };
      },
    };
  }

  #list(): RevokedList {
    return this.#options.state.get("revoked", revokedKey)?.authorities ?? {};
  }

  /** CRLs that an earlier process made, or another issuer. */
  #readBack(crls: readonly string[]): CrlSet {
    const authorities = new Map(
      this.#options.authorities.list().map(({ authority, certificate }) => {
        const { subjectKeyId } = parseCertificate(Buffer.from(certificate, "base64"));
        return [subjectKeyId ?? "", authority] as const;
      }),
    );
    const own = crls.flatMap((crl) => {
      const read = parseCrl(Buffer.from(crl, "base64"));
      const authority = authorities.get(read.authorityKeyId);
      return authority === undefined ? [] : [publishedOf(read, authority)];
    });
    return { ...nothing, crls: own };
  }

  /** When each authority's CRL was last made; now for those that make none, since nobody asks them. */
  #lastTold(): (authority: string) => number | undefined {
    const { authorities, clock } = this.#options;
    const told = new Map(this.status().crls.map((crl) => [crl.authority, madeAt(crl)]));
    const trusted = new Set(authorities.trusted().map(({ authority }) => authority));
    return (authority) => (trusted.has(authority) ? told.get(authority) : clock.now());
  }

  #isDue(now: number): boolean {
    const list = this.#list();
    if (countOf(list) === 0) return false;
    const { crls } = this.status();
    const trusted = this.#options.authorities.trusted().map(({ authority }) => authority);
    const covered = new Set(crls.map(({ authority }) => authority));
    if (covered.size !== trusted.length || trusted.some((one) => !covered.has(one))) return true;
    const half = this.#options.crlLifeMs / 2;
    // A clock that was set back has made CRLs that nobody takes yet.
    if (crls.some((crl) => now - madeAt(crl) >= half || now < crl.thisUpdate)) return true;
    return hasEnded(list, now) && crls.every((crl) => now - madeAt(crl) >= tidyEveryMs);
  }

  /** Where a CRL does not say what it should of these. */
  #gapsOf(svids: readonly Condemned[]): readonly CrlGap[] {
    const { stale, uncovered } = this.status();
    const concerned = new Set(svids.map(({ authority }) => authority));
    return uncovered.length > 0
      ? uncovered
      : stale.filter(({ authority }) => concerned.has(authority));
  }

  #measure(now: number): void {
    const { metrics, crlLifeMs } = this.#options;
    const { crls, stale, uncovered } = this.status();
    const ends = crls.map(({ nextUpdate }) => nextUpdate - now);
    const ages = crls.map((crl) => now - madeAt(crl));
    metrics.set("herald_issuer_revoked_svids", countOf(this.#list()));
    metrics.set("herald_issuer_crl_next_update_seconds", Math.min(crlLifeMs, ...ends) / 1000);
    metrics.set("herald_issuer_crl_age_seconds", Math.max(0, ...ages) / 1000);
    metrics.set("herald_issuer_crls_failing", stale.length + uncovered.length);
  }

  #announce(svid: Condemned, reason: CrlReason): void {
    const { serial, authority, notAfter, spiffeId, node = "", entry = "" } = svid;
    const { announcer, trustDomain } = this.#options;
    announcer.announce("svid.revoked", spiffeId ?? `spiffe://${trustDomain}`, {
      serial,
      authority,
      reason,
      node,
      entry,
      notAfter: new Date(notAfter).toISOString(),
    });
  }
}

const nothing: CrlSet = { crls: [], stale: [], uncovered: [] };

function listChange(authorities: RevokedList): Change {
  return {
    kind: "revoked",
    key: revokedKey,
    content: (stamp) => ({ ...stamp, authorities }),
  };
}

function unsigned({ authority, reason }: CrlGap): IssuerError {
  return new IssuerError(
    "CRL_UNSIGNED",
    `authority ${authority} cannot be trusted while SVIDs are revoked: no CRL of it can be made (${reason}), and without one verifiers refuse everybody that it signs; mend its key, or prepare another`,
  );
}
