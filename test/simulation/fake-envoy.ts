import type { Bundle } from "../../src/core/bundle/bundle.ts";
import type { Selector } from "../../src/core/spiffe/selector.ts";
import type { WorkloadView, X509Svid } from "../../src/core/svid/workload-view.ts";
import type { PushSource, StreamOf } from "../../src/identity/kept-consumers.ts";
import type { Clock } from "../../src/kit/clock.ts";
import type { SeededRandom } from "../support/seeded-random.ts";
import type { SimulationNode } from "../support/simulation-node.ts";

/** A process that was given trust counts this long after it left (src/identity/consumers.ts). */
const trustCountsMs = 3_600_000;

/** What makes a fake Envoy. */
export interface FakeEnvoyOptions {
  readonly pid: number;
  readonly kind: "sds" | "workload-api";
  readonly selectors: readonly Selector[];
  readonly node: SimulationNode;
  readonly clock: Clock;
  readonly random: SeededRandom;
  /** Called when the process begins to use an SVID. */
  readonly onSvid: (envoy: FakeEnvoy, svid: X509Svid) => void;
}

interface Stream extends StreamOf {
  readonly pid: number;
  sentBundle: Bundle | undefined;
  sentSerial: string;
  readonly close: () => void;
}

/** A process at a node's socket: takes what it is pushed after a while, says so a while later, comes and goes. */
export class FakeEnvoy {
  readonly pid: number;
  readonly node: SimulationNode;
  readonly selectors: readonly Selector[];
  /** What it verifies its peers with. */
  bundle: Bundle | undefined;
  svid: X509Svid | undefined;
  readonly #options: FakeEnvoyOptions;
  readonly #newest = new Map<string, PushSource>();
  #stream: Stream | undefined;
  #leftAt = 0;
  #heldUntil = 0;
  #dead = false;

  constructor(options: FakeEnvoyOptions) {
    this.#options = options;
    this.pid = options.pid;
    this.node = options.node;
    this.selectors = options.selectors;
    this.node.processes.set(this.pid, `start${this.pid}`);
  }

  get connected(): boolean {
    return this.#stream !== undefined;
  }

  get dead(): boolean {
    return this.#dead;
  }

  /** Does it still use what it was given, so that a rotation must wait for it? */
  counts(now: number): boolean {
    if (this.#dead || this.bundle === undefined) return false;
    // Its identity is over, so nobody talks to it (src/issuer/gate.ts).
    if (this.#heldUntil > 0 && this.#heldUntil <= now) return false;
    return this.connected || Math.max(this.#heldUntil, this.#leftAt + trustCountsMs) > now;
  }

  /** Connects if the node answers; otherwise tries again. */
  connect(): void {
    if (this.#dead || this.connected) return;
    const { service } = this.node;
    if (service === undefined) {
      this.connectLater(1000);
      return;
    }
    const watch = service.watch(this.selectors, (view) => this.#onView(stream, view));
    const stream: Stream = {
      pid: this.pid,
      sentBundle: undefined,
      sentSerial: "",
      close() {
        watch.close();
        service.consumers.closed(stream);
      },
    };
    this.#stream = stream;
    service.consumers.opened(this.#options.kind, stream);
    this.#onView(stream, watch.current());
  }

  connectLater(withinMs: number): void {
    this.#options.clock.after(1 + this.#options.random.below(withinMs), () => this.connect());
  }

  /** The stream ends, the process stays. */
  disconnect(): void {
    if (!this.connected) return;
    this.#stream?.close();
    this.#stream = undefined;
    this.#leftAt = this.#options.clock.now();
  }

  /** The node's daemon died: the stream is gone, and nobody was told. */
  lose(): void {
    if (!this.connected) return;
    this.#stream = undefined;
    this.#leftAt = this.#options.clock.now();
    this.connectLater(5000);
  }

  die(): void {
    this.node.processes.delete(this.pid);
    this.#dead = true;
    this.disconnect();
  }

  #onView(stream: Stream, view: WorkloadView): void {
    if (this.#stream !== stream) return;
    const bundle = view.bundles.get(view.trustDomain);
    if (bundle !== undefined && bundle !== stream.sentBundle) {
      stream.sentBundle = bundle;
      const sequences = new Map([[bundle.trustDomain, bundle.sequence]]);
      this.#push(stream, "ROOTCA", {
        source: { kind: "bundle", sequences },
        take: () => this.#takeBundle(bundle),
      });
    }
    const [svid] = view.svids;
    if (svid === undefined || svid.serial === stream.sentSerial) return;
    stream.sentSerial = svid.serial;
    const { serial, expiresAt } = svid;
    this.#push(stream, "default", {
      source: { kind: "svid", serial, expiresAt },
      take: () => this.#takeSvid(svid),
    });
  }

  #push(
    stream: Stream,
    name: string,
    { source, take }: { readonly source: PushSource; readonly take: () => void },
  ): void {
    const { kind, clock, random } = this.#options;
    const consumers = this.node.service?.consumers;
    const pushes = [{ name, source }];
    this.#newest.set(name, source);
    // What was overtaken by something newer is never used after it.
    const takeNewest = (): void => {
      if (this.#newest.get(name) === source) take();
    };
    if (kind === "workload-api") {
      consumers?.flushed(stream, pushes);
      clock.after(random.below(9000), takeNewest);
      return;
    }
    consumers?.sent(stream, pushes);
    const takesMs = random.below(random.oneIn(20) ? 60_000 : 200);
    // It takes what is in its socket even when the daemon is gone by then.
    clock.after(takesMs, takeNewest);
    clock.after(takesMs + 5, () => {
      const isNewest = this.#newest.get(name) === source;
      if (this.#stream === stream && !this.#dead && isNewest)
        consumers?.acknowledged(stream, pushes);
    });
  }

  #takeBundle(bundle: Bundle): void {
    if (this.#dead || (this.bundle?.sequence ?? 0n) > bundle.sequence) return;
    this.bundle = bundle;
  }

  #takeSvid(svid: X509Svid): void {
    if (this.#dead || svid.expiresAt <= this.#options.clock.now()) return;
    this.svid = svid;
    this.#heldUntil = Math.max(this.#heldUntil, svid.expiresAt);
    this.#options.onSvid(this, svid);
  }
}
