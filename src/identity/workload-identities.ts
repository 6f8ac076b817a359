import type { SignItem, SignResult } from "../core/envelope/payloads.ts";
import { compareEntries, type Entry } from "../core/policy/entry.ts";
import type { Selector } from "../core/spiffe/selector.ts";
import type { TrustDomain } from "../core/spiffe/spiffe-id.ts";
import { checkServable } from "../core/svid/check.ts";
import type { WorkloadView, X509Svid } from "../core/svid/workload-view.ts";
import { exportPrivateKey, type KeyMaker } from "../core/x509/key-pair.ts";
import { type Backoff, exponentialBackoff } from "../kit/backoff.ts";
import type { Clock, Timer } from "../kit/clock.ts";
import { reasonOf } from "../kit/errors.ts";
import type { Log } from "../kit/log.ts";
import type { Metrics } from "../kit/metrics.ts";
import type { Random } from "../kit/random.ts";
import { countOf, type Held, heldOf, intermediatesOf, nextEnd, servable, useOf } from "./held.ts";
import type { CachedSvid, SvidCache } from "./ports.ts";
import { askAgain, RefusedEntries } from "./refused-entries.ts";
import { plan } from "./renewal.ts";
import { SvidAuthorities, type SvidUse } from "./svids-in-use.ts";
import { viewOf } from "./view.ts";
import { entryOfName, isFor, leftOver, signItem, WantedSvids, type Watcher } from "./wanted.ts";
import {
  isSameEntries,
  isSameTrust,
  isSameView,
  noState,
  type WorkloadState,
} from "./workload-state.ts";

/** CSRs per request; a fleet-wide re-issue asks for several requests (protocol.md, Issuance). */
const batchSize = 50;

/** After a change of authority a node asks for its SVIDs anew within this long, not all at once. */
const reissueSpreadMs = 2000;

/** Signs CSRs: the results come in the order of the items. Rejects when no issuer answered. */
export interface SignCsrs {
  (items: readonly SignItem[]): Promise<readonly SignResult[]>;
}

export interface WorkloadIdentitiesOptions {
  readonly trustDomain: TrustDomain;
  readonly sign: SignCsrs;
  readonly cache: SvidCache;
  readonly keys: KeyMaker;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Called when the set of SVIDs, or which authorities signed them, has changed. */
  readonly onChange: () => void;
}

/**
 * Who holds what on this node: keeps an SVID ready for every entry that holds here, renews ahead, and tells each caller when its view has
 * changed. Serving never waits: a view is always at hand (invariant 4).
 */
export class WorkloadIdentities {
  readonly #options: WorkloadIdentitiesOptions;
  readonly #held = new Map<string, Held>();
  readonly #watchers = new Set<Watcher>();
  readonly #backoff: Backoff;
  readonly #refused: RefusedEntries;
  /** What came out of the cache and was not held against a bundle yet. */
  readonly #unproven = new Set<string>();
  #state: WorkloadState = noState;
  readonly #wanted: WantedSvids;
  #activeSince = 0;
  #signing = false;
  /** Who signed the SVIDs that callers were given. */
  readonly authorities: SvidAuthorities = new SvidAuthorities();
  #notBefore = 0;
  #timer: Timer | undefined;
  #stopped = false;

  constructor(options: WorkloadIdentitiesOptions) {
    this.#options = options;
    this.#backoff = exponentialBackoff({ ...askAgain, random: options.random });
    this.#refused = new RefusedEntries(options);
    this.#wanted = new WantedSvids(options.log);
  }

  /** Takes over the cache, so that a restarted daemon serves before it reaches anybody. */
  async resume(): Promise<void> {
    for (const cached of await this.#options.cache.load()) {
      try {
        this.#keep(cached, "");
        this.#unproven.add(cached.entry);
      } catch (thrown) {
        this.#options.log.warn(
          { entry: cached.entry, reason: reasonOf(thrown) },
          "a cached SVID is damaged; asking for a new one",
        );
      }
    }
  }

  /** New state: asks for what is missing, lets go of what is gone, tells callers. */
  update(state: WorkloadState): void {
    const before = this.#state;
    if (state.activeAuthority !== before.activeAuthority)
      this.#activeSince = this.#options.clock.now();
    this.#state = { ...state, entries: state.entries.toSorted(compareEntries) };
    this.#wanted.forget();
    // State that says nothing new, as every head brings, ends no wait: or all nodes would ask a struggling issuer at the same moment.
    if (!isSameTrust(before, state)) this.#refused.clear();
    if (!isSameTrust(before, state) || !isSameEntries(before.entries, this.#state.entries))
      this.#notBefore = 0;
    this.#proveCached();
    this.#takeHints();
    this.#tellWatchers();
    this.#replan();
  }

  /** Watches what a caller with these selectors is entitled to. */
  watch(
    selectors: readonly Selector[],
    onChange: (view: WorkloadView) => void,
    pid = 0,
  ): { current(): WorkloadView; close(): void } {
    const held = new Set(selectors);
    const watcher: Watcher = { selectors: held, pid, onChange, view: this.#viewOf(held) };
    this.#watchers.add(watcher);
    // What is not kept warm is signed, and from then on renewed, when somebody comes for it.
    const isCold = this.#state.entries.some((entry) => !entry.keepWarm && isFor(entry, watcher));
    if (isCold) this.#wanted.forget();
    if (isCold) this.#replan();
    const close = (): void => {
      this.#watchers.delete(watcher);
      this.#wanted.forget();
    };
    return { current: () => watcher.view, close };
  }

  /** The authorities below the bundle's that the held SVIDs' chains name, DER, each once. */
  intermediates(): readonly Uint8Array[] {
    return intermediatesOf(this.#held.values());
  }

  /** For acknowledgements: what this node holds, and what is asked for and may come at any moment. */
  svids(): readonly SvidUse[] {
    return [...[...this.#held.values()].map(useOf), ...this.authorities.asked];
  }

  /** For the health page and metrics: SVIDs are those that live; the next expiry may have passed. */
  status(): {
    readonly entries: number;
    readonly svids: number;
    readonly nextExpiry: number | undefined;
  } {
    const { svids, nextExpiry } = countOf(this.#held.values(), this.#options.clock.now());
    return { entries: this.#state.entries.length, svids, nextExpiry };
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
    this.#watchers.clear();
  }

  #replan(): void {
    if (this.#stopped) return;
    const { clock } = this.#options;
    const now = clock.now();
    // Until the node has read its state, an entry that is not in the cached state may only be one not heard of yet.
    if (this.#state.synced) this.#letGo();
    // A clock that was set back must not make a wait of half a minute one of days.
    this.#notBefore = Math.min(this.#notBefore, now + askAgain.maxMs);
    const planned = this.#plan(now);
    const due = planned.due.filter((entry) => this.#refused.retryAt(entry) <= now);
    if (!this.#signing && due.length > 0 && now >= this.#notBefore)
      void this.#issue(due.slice(0, batchSize));
    // What expires meanwhile is taken away at its time, however long the issuer thinks.
    if (this.#signing) this.#schedule(Number.POSITIVE_INFINITY, now);
    else {
      const retries = planned.due.map((entry) =>
        Math.max(this.#refused.retryAt(entry), this.#notBefore),
      );
      this.#schedule(Math.max(Math.min(planned.next, ...retries), now), now);
    }
  }

  #plan(now: number): ReturnType<typeof plan> {
    const { activeAuthority, taintedAuthorities: tainted } = this.#state;
    return plan({
      entries: [...this.#wanted.of(this.#state, this.#watchers, now).values()].map(
        ({ entry }) => entry,
      ),
      held: this.#held,
      activeAuthority,
      tainted,
      activeSince: this.#activeSince,
      reissueSpreadMs,
      now,
    });
  }

  #schedule(at: number, now: number): void {
    const { entries } = this.#state;
    const wake = Math.min(at, nextEnd(this.#held.values(), entries, now));
    this.#timer?.cancel();
    if (!Number.isFinite(wake)) return;
    this.#timer = this.#options.clock.after(Math.max(1, wake - now), () => {
      if (entries.some(({ expiresAt }) => expiresAt !== 0)) this.#wanted.forget();
      this.#tellWatchers();
      this.#replan();
    });
  }

  async #issue(due: readonly Entry[]): Promise<void> {
    this.#signing = true;
    const { log, metrics, clock } = this.#options;
    const askedUnder = this.#state.activeAuthority;
    this.authorities.asks(due, askedUnder, clock.now());
    let fresh: readonly CachedSvid[] = [];
    try {
      fresh = await this.#askFor(due);
      if (fresh.length > 0) await this.#options.cache.save(fresh);
      for (const svid of fresh) this.#keep(svid, askedUnder);
      this.#backoff.reset();
      this.#notBefore = 0;
      this.#refused.answered(due, new Set(fresh.map((svid) => svid.entry)));
      const ids = fresh.slice(0, 5).map((svid) => svid.spiffeId);
      if (ids.length > 0) log.info({ svids: fresh.length, ids }, "SVIDs issued");
    } catch (thrown) {
      metrics.increment("herald_node_sign_failures_total");
      this.#notBefore = clock.now() + this.#backoff.next();
      log.warn(
        { entries: due.length, reason: reasonOf(thrown), retryMs: this.#notBefore - clock.now() },
        "could not get SVIDs; serving what is cached",
      );
    } finally {
      this.#signing = false;
      this.authorities.answered(clock.now());
    }
    // The next batch's keys are made, on other threads, while this one's SVIDs are handed out.
    this.#replan();
    if (fresh.length === 0) return;
    this.#tellWatchers();
    this.#options.onChange();
  }

  async #askFor(due: readonly Entry[]): Promise<readonly CachedSvid[]> {
    const wanted = this.#wanted.of(this.#state, this.#watchers, this.#options.clock.now());
    const pairs = await Promise.all(due.map(() => this.#options.keys.p256()));
    const items = await Promise.all(
      due.map(async (entry, at) => await signItem(entry, pairs[at], wanted.get(entry.id))),
    );
    const results = await this.#options.sign(items);
    return due.flatMap((entry, index) => {
      const pair = pairs[index];
      const result = results[index];
      if (pair === undefined || result === undefined) return [];
      if (!result.ok) {
        this.#options.log.warn(
          { entry: entry.id, code: result.code, reason: result.reason },
          "the issuer refused an SVID",
        );
        return [];
      }
      const chain = result.chain.map((der) => Buffer.from(der, "base64"));
      const svid: CachedSvid = {
        entry: entry.id,
        revision: entry.revision,
        spiffeId: entry.spiffeId,
        chain,
        privateKey: exportPrivateKey(pair.privateKey),
      };
      return this.#isServable(svid.entry, () => servable(svid, "")) ? [svid] : [];
    });
  }

  /** The node's own look at what came: an issuer's slip must not reach an Envoy (SDS-05). */
  #isServable(entry: string, svid: () => X509Svid): boolean {
    try {
      checkServable(svid(), this.#state.bundle, this.#options.clock.now());
      return true;
    } catch (refused) {
      this.#options.log.error(
        { alarm: "bad-svid", entry, reason: reasonOf(refused) },
        "an SVID does not hold; not using it",
      );
      return false;
    }
  }

  /** The cache is a disk, and may be an old one: what it held is looked at as if it came from the issuer, once there is a bundle to hold it against. */
  #proveCached(): void {
    if (this.#state.bundle === undefined) return;
    for (const entry of this.#unproven) {
      const held = this.#held.get(entry);
      const isLive = held !== undefined && held.notAfter > this.#options.clock.now();
      if (isLive && !this.#isServable(entry, () => held.svid)) this.#held.delete(entry);
    }
    this.#unproven.clear();
  }

  /** A cached SVID does not hold its entry's hint, and an entry's hint may change. */
  #takeHints(): void {
    const hints = new Map(this.#state.entries.map(({ id, hint }) => [id, hint]));
    for (const [name, held] of this.#held) {
      const hint = hints.get(entryOfName(name));
      if (hint !== undefined && held.svid.hint !== hint)
        this.#held.set(name, { ...held, svid: { ...held.svid, hint } });
    }
  }

  #keep(cached: CachedSvid, askedUnder: string): void {
    const of = entryOfName(cached.entry);
    const hint = this.#state.entries.find((entry) => entry.id === of)?.hint ?? "";
    const spread = this.#options.random.fraction();
    const receivedAt = this.#options.clock.now();
    const held = heldOf(cached, { hint, spread, askedUnder, receivedAt });
    this.#held.set(cached.entry, held);
    this.authorities.keep(useOf(held));
  }

  #letGo(): void {
    const now = this.#options.clock.now();
    const { entries } = this.#state;
    // A caller that comes back finds what it had: it goes with its entry, or at its end.
    const gone = leftOver(this.#plan(now).gone, this.#held, { entries, now });
    if (gone.length === 0) return;
    for (const entry of gone) this.#held.delete(entry);
    this.#options.cache
      .remove(gone)
      .catch((thrown: unknown) =>
        this.#options.log.warn(
          { reason: reasonOf(thrown) },
          "could not remove old SVIDs from the cache",
        ),
      );
    this.#options.onChange();
  }

  #tellWatchers(): void {
    // An Envoy has a stream for each secret, and each watches: callers with the same selectors share one look.
    const views = new Map<string, WorkloadView>();
    for (const watcher of this.#watchers) {
      const kind = [...watcher.selectors].join("\n");
      const view = views.get(kind) ?? this.#viewOf(watcher.selectors);
      views.set(kind, view);
      if (isSameView(view, watcher.view)) continue;
      watcher.view = view;
      watcher.onChange(view);
    }
  }

  #viewOf(selectors: ReadonlySet<Selector>): WorkloadView {
    const { trustDomain, clock } = this.#options;
    return viewOf(this.#state, this.#held, { trustDomain, selectors, now: clock.now() });
  }
}
