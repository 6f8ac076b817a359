import type { AuditRecord, Operator } from "../../core/envelope/audit-payloads.ts";
import { token26 } from "../../core/envelope/object-keys.ts";
import type { SpiffeId } from "../../core/spiffe/spiffe-id.ts";
import { reasonOf } from "../../kit/errors.ts";
import { IssuedEnds } from "../authorities/issued-ends.ts";
import { IssuerError } from "../error.ts";
import type { AuditHistory } from "../ports.ts";
import { Minting, type MintingOptions } from "../signing/minting.ts";
import { Ledger, type LedgerSvid, type SvidFilter } from "./ledger.ts";
import { type HistoryState, LedgerHistory, type LedgerHistoryOptions } from "./ledger-history.ts";
import {
  type ListedPage,
  type ListedSvid,
  listedRevoked,
  listedSvid,
  revokedPage,
} from "./listed-svids.ts";
import {
  type Condemned,
  type RevocationOutcome,
  Revocations,
  type RevocationsOptions,
} from "./revocations.ts";
import {
  banOf,
  orderBehind,
  type RevokeOrder,
  type StandingOrder,
  type SvidTarget,
} from "./revoke-orders.ts";
import type { Revoked } from "./revoked-list.ts";

export interface SvidsOptions
  extends RevocationsOptions,
    Omit<MintingOptions, "maxTtlSeconds">,
    Pick<LedgerHistoryOptions, "trust" | "longestLifeMs"> {
  readonly issuer: SpiffeId;
  readonly auditHistory: AuditHistory;
  /** Of an SVID that an operator mints. */
  readonly mintMaxTtlSeconds: number;
}

/** After revocations of a banned node that failed: for want of the bus, or of room until others have ended. */
const retryMs = 10_000;
const retryFullMs = 600_000;

/** What came of it. */
export interface RevokeAnswer extends RevocationOutcome {
  /** What is known of SVIDs that were issued long ago. While it is read, the order is carried out again on what turns up. */
  readonly history: HistoryState;
}

/** Which SVIDs are alive, and the orders that end them early. */
export class Svids {
  readonly revocations: Revocations;
  readonly minting: Minting;
  /** Until when what each node holds lives, as the gates of a rotation ask. */
  readonly issued: IssuedEnds = new IssuedEnds();
  readonly #options: SvidsOptions;
  readonly #ledger = new Ledger();
  readonly #history: LedgerHistory;
  /** The first record that was heard; older ones are read back. */
  #oldest: AuditRecord | undefined;
  /** Orders about more than one SVID, until the ledger knows all; those that an earlier process was given, too. */
  #standing: readonly StandingOrder[] = [];
  /** Banned nodes of which nothing is alive that is not revoked. */
  readonly #settled = new Set<string>();
  #settleAt = 0;

  constructor(options: SvidsOptions) {
    const { issuer, auditHistory: history, mintMaxTtlSeconds: maxTtlSeconds } = options;
    this.#options = options;
    this.#history = new LedgerHistory({ ...options, name: token26(issuer), history });
    this.revocations = new Revocations(options);
    this.minting = new Minting({ ...options, maxTtlSeconds });
  }

  /** Hears every record of the audit chain: those kept, oldest first, and each new one as it is made. */
  onRecord(record: AuditRecord): void {
    this.#oldest ??= record;
    this.#keepOrder(record);
    this.issued.take(record);
    for (const { node } of this.#ledger.take(record, this.#options.clock.now()))
      this.#settled.delete(node);
  }

  /** Reads back what was issued before the oldest record that was heard; nothing waits for it. */
  readBack(): void {
    const { clock, state } = this.#options;
    const before = Math.floor(clock.now() / 1000) * 1000;
    // A crash may have come between a ban and its revocations, and the node may enrol anew before the next tick.
    for (const { node, banned } of state.list("node-record"))
      if (banned) this.#standing = [...this.#standing, { ...banOf(node, null), before }];
    const take = (record: AuditRecord): void => {
      this.#keepOrder(record);
      this.issued.take(record);
      this.#ledger.takeAgain(record, clock.now());
    };
    void this.#history.read(this.#oldest, take).then(async () => {
      this.#settled.clear();
      const standing = this.#standing;
      this.#standing = [];
      for (const order of standing) await this.#carryOutAgain(order);
    });
  }

  /** One that is alive or revoked. @throws IssuerError SVID_UNKNOWN */
  show(serial: string): ListedSvid {
    const [found] = this.showAll([serial]);
    if (found === undefined) throw this.#unknown({ kind: "serial", serial });
    return found;
  }

  /** Those of them that are alive or revoked. */
  showAll(serials: readonly string[]): readonly ListedSvid[] {
    const revokedBy = this.#revokedBySerial();
    return serials.flatMap((serial) => {
      const [svid, revoked] = [this.#find(serial), revokedBy.get(serial)];
      if (svid !== undefined) return [listedSvid(svid, revoked)];
      return revoked === undefined ? [] : [listedRevoked(revoked, undefined)];
    });
  }

  /** Live SVIDs, newest first; or, where `revoked`, those that are revoked. */
  list(
    filter: SvidFilter,
    part: { readonly limit: number; readonly from: string; readonly revoked: boolean },
  ): ListedPage {
    const { limit, from } = part;
    if (part.revoked) {
      const all = this.revoked().map((one) => listedRevoked(one, this.#find(one.serial)));
      return revokedPage(all, filter, { limit, from });
    }
    const page = this.#ledger.page(filter, { limit, from, now: this.#options.clock.now() });
    const revoked = this.#revokedBySerial();
    const svids = page.svids.map((svid) => listedSvid(svid, revoked.get(svid.serial)));
    return { svids, next: page.next };
  }

  /** What is revoked, alive or ended a short while ago. */
  revoked(): readonly Revoked[] {
    return this.revocations.list();
  }

  get history(): HistoryState {
    return this.#history.state;
  }

  /**
   * Revokes what is meant and alive. Resolves when it is durable, audited, and where nodes read it. Giving the order again changes nothing.
   * @throws IssuerError SVID_UNKNOWN, REVOCATION_INVALID; and what {@link Revocations.revoke} throws
   */
  async revoke(order: RevokeOrder): Promise<RevokeAnswer> {
    const { target } = order;
    const svids = this.#found(target);
    if (svids.length === 0) throw this.#unknown(target);
    return await this.#carryOut(order, svids);
  }

  /** Revokes everything that a node holds, its own SVID too, and nothing when it holds nothing: for a ban. */
  async revokeNode(node: string, by: Operator | null = null): Promise<RevokeAnswer> {
    const order = banOf(node, by);
    return await this.#carryOut(order, this.#found(order.target));
  }

  /** Before somebody may take the name of a node that was taken out: what the one before held is revoked, though the issuer died behind that order. */
  async clear(node: string): Promise<void> {
    const order = banOf(node, null);
    const revoked = new Set(this.revoked().map(({ serial }) => serial));
    const left = this.#found(order.target).filter(({ serial }) => !revoked.has(serial));
    if (left.length > 0 || this.history === "reading") await this.#carryOut(order, left);
  }

  /** To be called about once a second: forgets what has ended, revokes what a banned node still holds, and keeps the CRLs fresh. */
  async tick(): Promise<void> {
    const { clock, metrics, state } = this.#options;
    if (state.fenced) return;
    this.#ledger.sweep(clock.now());
    metrics.set("herald_issuer_svids", this.#ledger.size);
    const banned = new Set<string>();
    for (const record of state.list("node-record")) if (record.banned) banned.add(record.node);
    for (const node of this.#settled) if (!banned.has(node)) this.#settled.delete(node);
    // First: what cannot be revoked must not let the CRLs end.
    await this.revocations.tick();
    if (clock.now() >= this.#settleAt) for (const node of banned) await this.#settle(node);
  }

  stop(): void {
    this.#history.stop();
  }

  /** A crash between a ban and its revocations, or an SVID that was being signed when the ban came, leaves something to be done. */
  async #settle(node: string): Promise<void> {
    if (this.#settled.has(node)) return;
    this.#settled.add(node);
    try {
      await this.clear(node);
    } catch (thrown) {
      this.#settled.delete(node);
      const isFull = thrown instanceof IssuerError && thrown.code === "REVOCATIONS_FULL";
      // Each attempt stands in the audit chain.
      this.#settleAt = this.#options.clock.now() + (isFull ? retryFullMs : retryMs);
      throw thrown;
    }
  }

  async #carryOut(order: RevokeOrder, svids: readonly Condemned[]): Promise<RevokeAnswer> {
    const { target, reason, by } = order;
    // Where something is found, the record of it stands for the order.
    if (target.kind !== "serial" && svids.length === 0 && this.history === "reading")
      this.#standing = [...this.#standing, { ...order, before: this.#options.clock.now() + 1 }];
    const subject = target.kind === "serial" ? target.serial : `${target.kind} ${target.name}`;
    const outcome =
      svids.length === 0
        ? { revoked: [], already: [], unenforced: [] }
        : await this.revocations.revoke({ subject, svids, reason, by });
    return { ...outcome, history: this.history };
  }

  #keepOrder(record: AuditRecord): void {
    const order = this.history === "reading" ? orderBehind(record) : undefined;
    if (order !== undefined) this.#standing = [...this.#standing, order];
  }

  /** Never rejects. */
  async #carryOutAgain(order: StandingOrder): Promise<void> {
    const { target } = order;
    if (target.kind === "serial") return;
    const revoked = this.#revokedBySerial();
    const left = this.#group(target).filter(
      (svid) => !revoked.has(svid.serial) && svid.issuedAt < order.before,
    );
    try {
      if (left.length > 0) await this.#carryOut(order, left);
    } catch (thrown) {
      this.#options.log.error(
        { alarm: "revocation", ...target, reason: reasonOf(thrown) },
        "an order to revoke could not be carried out on SVIDs that were read back; give it again",
      );
    }
  }

  #revokedBySerial(): ReadonlyMap<string, Revoked> {
    return new Map(this.revoked().map((one) => [one.serial, one]));
  }

  #find(serial: string): LedgerSvid | undefined {
    return this.#ledger.find(serial, this.#options.clock.now());
  }

  #found(target: SvidTarget): readonly Condemned[] {
    return target.kind === "serial" ? this.#foundBySerial(target) : this.#group(target);
  }

  #group({ kind, name }: Exclude<SvidTarget, { kind: "serial" }>): readonly LedgerSvid[] {
    const now = this.#options.clock.now();
    switch (kind) {
      case "entry":
        return this.#ledger.list({ entry: name }, now);
      case "node":
        return this.#ledger.list({ node: name }, now);
      case "id":
        return this.#ledger.list({ spiffeId: name }, now);
    }
  }

  #foundBySerial(target: Extract<SvidTarget, { kind: "serial" }>): readonly Condemned[] {
    const { serial, known } = target;
    const found = this.#find(serial) ?? this.revoked().find((one) => one.serial === serial);
    if (found !== undefined) return [found];
    if (known === undefined) return [];
    const authority = this.#options.authorities.find(known.authority);
    if (authority === undefined)
      throw new IssuerError(
        "REVOCATION_INVALID",
        `authority: there is no ${known.authority}; \`herald ca list\` shows them`,
      );
    if (known.notAfter <= this.#options.clock.now())
      throw new IssuerError(
        "REVOCATION_INVALID",
        "not-after: is past, so the SVID has ended and nobody accepts it",
      );
    // What outlives its authority ends with it.
    const notAfter = Math.min(known.notAfter, authority.notAfter);
    return [{ serial, authority: authority.authority, notAfter }];
  }

  #unknown(target: SvidTarget): IssuerError {
    const late =
      this.history === "whole" ? "" : "; what was issued long ago is not known (see the log)";
    if (target.kind === "serial")
      return new IssuerError(
        "SVID_UNKNOWN",
        `no live SVID has serial ${target.serial}${late}; if it is one all the same, say who signed it and when it ends: --authority ID --not-after TIME`,
      );
    return new IssuerError(
      "SVID_UNKNOWN",
      `no live SVID is of ${target.kind} ${target.name}${late}; \`herald svid list\` shows those that are`,
    );
  }
}
