import type { NodeBus, NodeListener, Service } from "../../../src/events/bus.ts";
import { EventsError } from "../../../src/events/error.ts";
import { type FollowedState, Follower, type ViewStore } from "../../../src/events/follower.ts";
import { NodeView } from "../../../src/events/node-view.ts";
import type { Labels, Metrics } from "../../../src/kit/metrics.ts";
import { now } from "../../core/envelope/support/keys.ts";
import { node } from "../../core/envelope/support/samples.ts";
import { HeldClock } from "../../support/held-clock.ts";
import { SeededRandom } from "../../support/seeded-random.ts";
import { RecordedLog } from "./recorded-log.ts";
import { newTrust, type Signed } from "./signed-state.ts";

/** A broker in the test's hands: what it has, what it withholds, what it says and when. */
export class TestBus implements Pick<NodeBus, "read" | "subscribe"> {
  readonly objects: Map<string, Uint8Array> = new Map();
  /** Every key that was asked for. */
  readonly reads: string[] = [];
  /** What each read waits for before it is answered. */
  beforeRead: (key: string) => Promise<void> = () => Promise.resolve();
  /** True: the network is away. */
  isAway = false;
  listener: NodeListener | undefined;

  put(...objects: readonly Signed[]): void {
    for (const { key, bytes } of objects) this.objects.set(key, bytes);
  }

  async read(key: string): Promise<Uint8Array | undefined> {
    this.reads.push(key);
    await this.beforeRead(key);
    if (this.isAway) throw new EventsError("BUS_UNREACHABLE", "the network is away");
    return this.objects.get(key);
  }

  async subscribe(listener: NodeListener): Promise<Service> {
    this.listener = listener;
    return await Promise.resolve({ close: () => Promise.resolve() });
  }
}

/** A disk in memory that can fail and that can be slow. */
export class TestStore implements ViewStore {
  kept: readonly Uint8Array[] = [];
  saves = 0;
  fails = false;
  beforeSave: () => Promise<void> = () => Promise.resolve();

  async load(): Promise<readonly Uint8Array[]> {
    return await Promise.resolve(this.kept);
  }

  async save(contents: readonly Uint8Array[]): Promise<void> {
    const written = [...contents];
    await this.beforeSave();
    if (this.fails) throw new RangeError("the disk is full");
    this.kept = written;
    this.saves += 1;
  }
}

/** Counts by name and labels: `herald_node_bus_alarms_total forged`. */
export class CountedMetrics implements Metrics {
  readonly counts: Map<string, number> = new Map();

  increment(name: string, labels: Labels = {}): void {
    const key = [name, ...Object.values(labels)].join(" ");
    this.counts.set(key, (this.counts.get(key) ?? 0) + 1);
  }

  set(name: string, value: number): void {
    this.counts.set(name, value);
  }

  observe(): void {}
}

/** A follower with everything around it in the test's hands. */
export class Followed {
  readonly clock: HeldClock;
  readonly bus: TestBus;
  readonly store: TestStore;
  readonly view: NodeView;
  readonly follower: Follower;
  readonly log: RecordedLog = new RecordedLog();
  readonly metrics: CountedMetrics = new CountedMetrics();
  readonly told: FollowedState[] = [];
  /** Called at each change, with the follower's state as it was told. */
  onChange: (state: FollowedState) => void = () => {};
  askIssuer: () => Promise<readonly Uint8Array[]> = () => Promise.resolve([]);
  asked = 0;

  constructor(
    world: { readonly bus?: TestBus; readonly store?: TestStore; readonly clock?: HeldClock } = {},
  ) {
    this.bus = world.bus ?? new TestBus();
    this.store = world.store ?? new TestStore();
    this.clock = world.clock ?? new HeldClock(now);
    this.view = new NodeView({ trust: newTrust(), node });
    this.follower = new Follower({
      view: this.view,
      bus: this.bus,
      store: this.store,
      askIssuer: () => {
        this.asked += 1;
        return this.askIssuer();
      },
      onChange: (state) => {
        this.told.push(state);
        this.onChange(state);
      },
      clock: this.clock,
      random: new SeededRandom(1),
      log: this.log,
      metrics: this.metrics,
    });
  }

  /** Started and connected, with what the broker has read. */
  async connected(): Promise<this> {
    await this.follower.start();
    this.bus.listener?.onConnected();
    await this.clock.advance(0);
    return this;
  }

  async head(bytes: Uint8Array): Promise<void> {
    this.bus.listener?.onHead(bytes);
    await this.clock.advance(0);
  }

  async object({ key, bytes }: Signed): Promise<void> {
    this.bus.listener?.onObject(key, bytes);
    await this.clock.advance(0);
  }
}
