import { claimOf } from "../core/envelope/envelope.ts";
import { isGroupPageKey } from "../core/envelope/object-keys.ts";
import { compareVersions, type Version, zeroVersion } from "../core/envelope/version.ts";
import type { Entry } from "../core/policy/entry.ts";
import { type Backoff, exponentialBackoff } from "../kit/backoff.ts";
import { type Clock, pause, type Timer } from "../kit/clock.ts";
import { reasonOf } from "../kit/errors.ts";
import type { Log } from "../kit/log.ts";
import type { Metrics } from "../kit/metrics.ts";
import type { Random } from "../kit/random.ts";
import type { NodeBus, Service } from "./bus.ts";
import { GroupPages, isPage } from "./group-pages.ts";
import type { NodeView, Outcome } from "./node-view.ts";

/** Where the node keeps what it knows, and how high its marks were. */
export interface ViewStore {
  /** Envelopes and pages of the group index, in no order; empty at first. */
  load(): Promise<readonly Uint8Array[]>;
  /** Durable once it resolves: only then is a change acted upon (invariant 2: the marks hold over restarts). */
  save(contents: readonly Uint8Array[]): Promise<void>;
}

/** What a follower leans on. */
export interface FollowerOptions {
  readonly view: NodeView;
  readonly bus: Pick<NodeBus, "read" | "subscribe">;
  readonly store: ViewStore;
  /** Asks an issuer for the state when reads give nothing newer; envelopes, unverified. */
  readonly askIssuer: () => Promise<readonly Uint8Array[]>;
  /** Called after each change, when it is durable; never twice at once. */
  readonly onChange: (state: FollowedState) => void;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** What the followed state amounts to for this node. */
export interface FollowedState {
  /** Entries that select many nodes, pages resolved. */
  readonly shared: readonly Entry[];
  /** The version of the index that they are of: what the manifest says goes with it. */
  readonly sharedVersion: Version;
  /** True once every object was read or answered for, once since the start. */
  readonly synced: boolean;
}

/** A page that could not be read is tried again after this long. */
const pageRetryMs = 500;

/** After this many reads that gave nothing new the node asks an issuer itself (ND section 5, step 7). */
const readsBeforeAsking = 5;

/** A key that heads name, and that nobody has given after so many: some 30 s of trying. Whoever carries it holds it back, or the issuer cannot store it. */
const readsBeforeAlarm = 12;

/** Follows the signed state over the bus: subscribe before reading, apply by {@link NodeView}'s rule, fetch what is missing, persist, tell. */
export class Follower {
  readonly #options: FollowerOptions;
  readonly #pages: GroupPages;
  readonly #fetching = new Map<string, Promise<void>>();
  readonly #stop = new AbortController();
  #service: Service | undefined;
  #shared: readonly Entry[] = [];
  #sharedOf: string | undefined;
  #sharedVersion: Version = zeroVersion;
  #synced = false;
  #saving: Promise<void> = Promise.resolve();
  /** Counts the changes of the view: what was saved is the view of one of them. */
  #changes = 0;
  #saved = 0;
  /** Something changed that was not told yet: its save failed, say, and the mark of the next head is what goes to disk after it. */
  #isUntold = false;
  #applied: Readonly<Record<string, Version>> = {};
  #pageRetry: Timer | undefined;
  #silence: Timer | undefined;
  #stale = false;

  constructor(options: FollowerOptions) {
    this.#options = options;
    this.#pages = new GroupPages(options);
  }

  /** True after three head intervals without a head (TM-B-04). */
  get stale(): boolean {
    return this.#stale;
  }

  /** True once every object, with the pages that it names, was read or answered for since the start. */
  get synced(): boolean {
    const isShared =
      this.#sharedOf !== undefined || this.#options.view.get("group-index") === undefined;
    return this.#synced && isShared;
  }

  /** Takes over what the disk holds; then the node can serve without any network (invariant 4). */
  async resume(kept: readonly Uint8Array[]): Promise<void> {
    const { view, clock } = this.#options;
    this.#pages.resume(kept.filter(isPage));
    const envelopes = kept.filter((bytes) => !isPage(bytes));
    // Heads last: an object of an older term that was good when it was kept is still good.
    for (const bytes of envelopes) view.offer(bytes, clock.now());
    for (const bytes of envelopes) view.offerHead(bytes, clock.now());
    this.#changes += 1;
    this.#isUntold = true;
    await this.#settle();
  }

  /** Subscribes, and catches up whenever the connection is made. Resolves when subscribed. */
  async start(): Promise<void> {
    this.#service = await this.#options.bus.subscribe({
      onHead: (bytes) => this.#onHead(bytes),
      onObject: (key, bytes) => this.#onObject(key, bytes),
      onConnected: () => this.#catchUp(),
      onDisconnected: () => this.#options.log.warn({}, "the bus is away; serving what is cached"),
    });
    this.#watchForSilence(60_000);
  }

  /** Which version of each object is on this node's disk and in force: what it may acknowledge. */
  get applied(): Readonly<Record<string, Version>> {
    return this.#applied;
  }

  /** Takes envelopes out of an issuer's reply, heads among them, by the same rule as everything else. */
  offer(envelopes: readonly Uint8Array[]): void {
    const { view, clock } = this.#options;
    const now = clock.now();
    const isHead = (bytes: Uint8Array): boolean => claimOf(bytes).kind === "head";
    this.#act(
      envelopes.flatMap((bytes) =>
        isHead(bytes) ? view.offerHead(bytes, now) : view.offer(bytes, now),
      ),
    );
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    this.#silence?.cancel();
    this.#pageRetry?.cancel();
    await this.#service?.close();
    await this.#saving;
  }

  #onHead(bytes: Uint8Array): void {
    const now = this.#options.clock.now();
    const outcomes = this.#options.view.offerHead(bytes, now);
    if (outcomes.some((outcome) => outcome.kind === "head")) {
      const head = this.#options.view.head;
      // One that was held back until it had expired is applied, but it is no sign that heads are coming (TM-B-04).
      if (head !== undefined && head.expires > now)
        this.#watchForSilence(Math.max(1000, head.expires - head.at));
    }
    this.#act(outcomes);
  }

  #onObject(key: string, bytes: Uint8Array): void {
    if (isGroupPageKey(key) || !this.#options.view.keys.includes(key)) return;
    this.#act(this.#options.view.offer(bytes, this.#options.clock.now(), key));
  }

  #catchUp(): void {
    const reads = this.#options.view.keys.map((key) => this.#fetch(key));
    Promise.all(reads).then(
      () => {
        this.#synced = true;
        this.#act([{ kind: "applied", key: "" }]);
        void this.#askAfterReconnect();
      },
      (thrown: unknown) =>
        this.#options.log.warn({ reason: reasonOf(thrown) }, "could not catch up"),
    );
  }

  /** Reads tell what the broker is willing to show; an issuer tells what there is: a single withheld object is found so. */
  async #askAfterReconnect(): Promise<void> {
    try {
      this.offer(await this.#options.askIssuer());
    } catch (thrown) {
      this.#options.log.debug(
        { reason: reasonOf(thrown) },
        "no issuer told the state; what was read stands",
      );
    }
  }

  #act(outcomes: readonly Outcome[]): void {
    let changed = false;
    let hasHead = false;
    for (const outcome of outcomes) {
      switch (outcome.kind) {
        case "applied":
          changed = true;
          break;
        case "head":
          hasHead = true;
          break;
        case "fetch":
          void this.#fetch(outcome.key);
          break;
        case "alarm":
          this.#options.metrics.increment("herald_node_bus_alarms_total", { code: outcome.code });
          this.#options.log.warn(
            { alarm: outcome.code, key: outcome.key, reason: outcome.reason },
            "refused what the broker delivered",
          );
          break;
      }
    }
    if (!changed && !hasHead) return;
    this.#changes += 1;
    // A head alone is a mark to be kept, and nothing to be told of.
    this.#isUntold ||= changed;
    void this.#settle();
  }

  /** Reads a key until the view has what the head names of it; never rejects. Whoever asks for a key that is being read waits with the first. */
  #fetch(key: string): Promise<void> {
    const running = this.#fetching.get(key);
    if (running !== undefined) return running;
    const fetched = this.#read(key).finally(() => this.#fetching.delete(key));
    this.#fetching.set(key, fetched);
    return fetched;
  }

  async #read(key: string): Promise<void> {
    const { bus, view, clock, random, log } = this.#options;
    const backoff = exponentialBackoff({ baseMs: 100, maxMs: 5000, random });
    for (let tries = 1; !this.#stop.signal.aborted; tries++) {
      try {
        const bytes = await bus.read(key);
        if (bytes !== undefined) this.#act(view.offer(bytes, clock.now(), key));
        if (!this.#lacks(key)) return;
        if (tries >= readsBeforeAsking) this.offer(await this.#options.askIssuer());
        if (!this.#lacks(key)) return;
      } catch (thrown) {
        log.debug({ key, reason: reasonOf(thrown) }, "could not read state; trying again");
      }
      if (tries === readsBeforeAlarm && this.#lacks(key)) this.#tellWithheld(key);
      await this.#wait(backoff);
    }
  }

  /** Heads go on coming, so that nothing else would tell of it. */
  #tellWithheld(key: string): void {
    this.#options.metrics.increment("herald_node_bus_alarms_total", { code: "withheld" });
    this.#options.log.error(
      { alarm: "withheld", key },
      "the issuer has newer state than the broker gives; going on with what is held",
    );
  }

  async #wait(backoff: Backoff): Promise<void> {
    await pause(this.#options.clock, backoff.next(), this.#stop.signal);
  }

  /** Does the newest head name a version of this key that the view does not have? */
  #lacks(key: string): boolean {
    const { view } = this.#options;
    const named = view.head?.objects[key];
    const held = view.versions()[key];
    if (named === undefined) return false;
    return held === undefined || compareVersions(held, named.version) < 0;
  }

  /** Saves, then tells: a crash after the save finds the same state again, a crash before it finds an older one and catches up. */
  #settle(): Promise<void> {
    this.#saving = this.#saving.then(async () => {
      const { onChange, log } = this.#options;
      try {
        await this.#save();
        if (!this.#isUntold || this.#stop.signal.aborted) return;
        this.#isUntold = false;
        onChange({
          shared: this.#shared,
          sharedVersion: this.#sharedVersion,
          synced: this.synced,
        });
      } catch (thrown) {
        log.error(
          { reason: reasonOf(thrown) },
          "could not keep the state on disk; not acting on it",
        );
      }
    });
    return this.#saving;
  }

  /** Until the view that is on disk is the view of this moment: what came while it was being written is not acted upon yet. */
  async #save(): Promise<void> {
    const { view, store } = this.#options;
    do {
      const saving = this.#changes;
      if (saving !== this.#saved) {
        const versions = view.versions();
        await store.save([...view.envelopes(), ...this.#pages.bytes()]);
        this.#saved = saving;
        this.#applied = versions;
      }
      if (await this.#resolveShared()) this.#changes += 1;
    } while (this.#saved !== this.#changes);
  }

  /** Takes over the newest index with its pages; true when it read any, which the disk should hold too. */
  async #resolveShared(): Promise<boolean> {
    const index = this.#options.view.get("group-index");
    if (index === undefined || index.digest === this.#sharedOf) return false;
    const before = this.#pages.size;
    const paged = await this.#pages.entriesOf(index.payload);
    if (paged === undefined) {
      this.#pageRetry?.cancel();
      if (!this.#stop.signal.aborted)
        this.#pageRetry = this.#options.clock.after(pageRetryMs, () => void this.#settle());
      return false;
    }
    const hasRead = this.#pages.size > before;
    this.#pages.keepOnly(index.payload);
    this.#shared = [...index.payload.entries, ...paged];
    this.#sharedOf = index.digest;
    this.#sharedVersion = index.payload.version;
    this.#isUntold = true;
    return hasRead;
  }

  #watchForSilence(lifeMs: number): void {
    if (this.#stale) this.#options.log.info({}, "heads are coming again");
    this.#stale = false;
    this.#options.metrics.set("herald_node_stale", 0);
    this.#silence?.cancel();
    this.#silence = this.#options.clock.after(lifeMs, () => {
      this.#stale = true;
      this.#options.metrics.set("herald_node_stale", 1);
      this.#options.log.error(
        { alarm: "silence", silentMs: lifeMs },
        "no head for three intervals: the broker is silent or the issuer is down; serving what is cached",
      );
    });
  }
}
