import { createHash } from "node:crypto";
import { parseCompactJson } from "../core/envelope/compact-json.ts";
import { isGroupPageKey } from "../core/envelope/object-keys.ts";
import type { GroupIndexState } from "../core/envelope/payloads.ts";
import { groupPage } from "../core/envelope/state-shapes.ts";
import type { Entry } from "../core/policy/entry.ts";
import { type Backoff, exponentialBackoff } from "../kit/backoff.ts";
import { type Clock, pause, type Timer } from "../kit/clock.ts";
import { reasonOf } from "../kit/errors.ts";
import type { Log } from "../kit/log.ts";
import type { Metrics } from "../kit/metrics.ts";
import type { Random } from "../kit/random.ts";
import type { NodeBus, Service } from "./bus.ts";
import { EventsError } from "./error.ts";
import type { NodeView, Outcome } from "./node-view.ts";

/** Where the node keeps what it knows, and how high its marks were. */
export interface ViewStore {
  /** Envelopes, in no order; empty at first. */
  load(): Promise<readonly Uint8Array[]>;
  /** Durable once it resolves: only then is a change acted upon (invariant 2: the marks hold over restarts). */
  save(envelopes: readonly Uint8Array[]): Promise<void>;
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
  /** True once every object was read or answered for, once since the start. */
  readonly synced: boolean;
}

/** After this many reads that gave nothing new the node asks an issuer itself (ND section 5, step 7). */
const readsBeforeAsking = 5;

/** Follows the signed state over the bus: subscribe before reading, apply by {@link NodeView}'s rule, fetch what is missing, persist, tell. */
export class Follower {
  readonly #options: FollowerOptions;
  readonly #pages = new Map<string, readonly Entry[]>();
  readonly #fetching = new Set<string>();
  readonly #stop = new AbortController();
  #service: Service | undefined;
  #shared: readonly Entry[] = [];
  #sharedOf: string | undefined;
  #synced = false;
  #saving: Promise<void> = Promise.resolve();
  #silence: Timer | undefined;
  #stale = false;

  constructor(options: FollowerOptions) {
    this.#options = options;
  }

  /** True after three head intervals without a head (TM-B-04). */
  get stale(): boolean {
    return this.#stale;
  }

  get synced(): boolean {
    return this.#synced;
  }

  /** Takes over what the disk holds; then the node can serve without any network (invariant 4). */
  async resume(envelopes: readonly Uint8Array[]): Promise<void> {
    const { view, clock } = this.#options;
    // Heads last: an object of an older term that was good when it was kept is still good.
    for (const bytes of envelopes) view.offer(bytes, clock.now());
    for (const bytes of envelopes) view.offerHead(bytes, clock.now());
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

  /** Takes envelopes out of a reply by the same rule as everything else. */
  offer(envelopes: readonly Uint8Array[]): void {
    this.#act(
      envelopes.flatMap((bytes) => this.#options.view.offer(bytes, this.#options.clock.now())),
    );
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    this.#silence?.cancel();
    await this.#service?.close();
    await this.#saving;
  }

  #onHead(bytes: Uint8Array): void {
    const outcomes = this.#options.view.offerHead(bytes, this.#options.clock.now());
    if (outcomes.some((outcome) => outcome.kind === "head")) {
      const head = this.#options.view.head;
      if (head !== undefined) this.#watchForSilence(Math.max(1000, head.expires - head.at));
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
      },
      (thrown: unknown) =>
        this.#options.log.warn({ reason: reasonOf(thrown) }, "could not catch up"),
    );
  }

  #act(outcomes: readonly Outcome[]): void {
    let changed = false;
    for (const outcome of outcomes) {
      switch (outcome.kind) {
        case "applied":
          changed = true;
          break;
        case "head":
          changed = true;
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
    if (changed) void this.#settle();
  }

  /** Reads a key until the view has what the head names of it; never rejects. */
  async #fetch(key: string): Promise<void> {
    if (this.#fetching.has(key)) return;
    this.#fetching.add(key);
    const { bus, view, clock, random, log } = this.#options;
    const backoff = exponentialBackoff({ baseMs: 100, maxMs: 5000, random });
    try {
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
        await this.#wait(backoff);
      }
    } finally {
      this.#fetching.delete(key);
    }
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
    return (
      held === undefined ||
      held.term < named.version.term ||
      (held.term === named.version.term && held.seq < named.version.seq)
    );
  }

  /** Saves, then tells: a crash after the save finds the same state again, a crash before it finds an older one and catches up. */
  #settle(): Promise<void> {
    this.#saving = this.#saving.then(async () => {
      const { view, store, onChange, log } = this.#options;
      try {
        await store.save(view.envelopes());
        await this.#resolveShared();
        if (!this.#stop.signal.aborted) onChange({ shared: this.#shared, synced: this.#synced });
      } catch (thrown) {
        log.error(
          { reason: reasonOf(thrown) },
          "could not keep the state on disk; not acting on it",
        );
      }
    });
    return this.#saving;
  }

  async #resolveShared(): Promise<void> {
    const index = this.#options.view.get("group-index");
    if (index === undefined || index.digest === this.#sharedOf) return;
    const pages = await this.#pagesOf(index.payload);
    if (pages === undefined) return;
    this.#shared = [...index.payload.entries, ...pages];
    this.#sharedOf = index.digest;
  }

  /** All pages of an index, or undefined when one is not to be had now: the index then counts later, as a whole. */
  async #pagesOf(index: GroupIndexState): Promise<readonly Entry[] | undefined> {
    const entries: Entry[] = [];
    const wanted = new Set(index.pages.map((page) => page.key));
    for (const page of index.pages) {
      const known = this.#pages.get(page.key) ?? (await this.#readPage(page));
      if (known === undefined) return undefined;
      this.#pages.set(page.key, known);
      entries.push(...known);
    }
    for (const key of this.#pages.keys()) if (!wanted.has(key)) this.#pages.delete(key);
    return entries;
  }

  async #readPage(page: {
    readonly key: string;
    readonly sha256: string;
  }): Promise<readonly Entry[] | undefined> {
    try {
      const bytes = await this.#options.bus.read(page.key);
      if (bytes === undefined)
        throw new EventsError("BUS_NO_OBJECT", `page ${page.key} is not in the store`);
      if (createHash("sha256").update(bytes).digest("hex") !== page.sha256)
        throw new EventsError(
          "BUS_NO_OBJECT",
          `page ${page.key} is not the one that the index names`,
        );
      return groupPage.parse(parseCompactJson(bytes));
    } catch (thrown) {
      this.#options.log.warn(
        { key: page.key, reason: reasonOf(thrown) },
        "a page of the entries is not to be had yet; trying again",
      );
      this.#options.clock.after(500, () => void this.#settle());
      return undefined;
    }
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
