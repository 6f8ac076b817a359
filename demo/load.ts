import { Agent, request } from "node:http";
import { performance } from "node:perf_hooks";
import { reasonOf } from "../src/kit/errors.ts";
import { readCall } from "./calls.ts";

/** A request that did not come back with 200. */
export interface Failure {
  /** When it was sent, milliseconds since the epoch. */
  readonly sentAt: number;
  /** When it failed. */
  readonly at: number;
  readonly reason: string;
}

/** What went on between two moments. */
export interface LoadFigures {
  readonly requests: number;
  readonly failures: readonly Failure[];
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** SPIFFE IDs that the service saw. */
  readonly callers: ReadonlySet<string>;
  /** SHA-256 of the certificates that the service's Envoy was shown. */
  readonly certificates: ReadonlySet<string>;
}

interface Done {
  readonly at: number;
  readonly tookMs: number;
  readonly caller: string;
  readonly certificate: string;
}

/**
 * Steady load: requests start when they are due, whether or not earlier ones have come back, and latency counts from when they were due. Every
 * second request opens a connection of its own.
 */
export class Load {
  readonly #port: number;
  readonly #perSecond: number;
  readonly #kept = new Agent({ keepAlive: true, maxSockets: 64 });
  readonly #done: Done[] = [];
  readonly #failures: Failure[] = [];
  readonly #running = new Set<Promise<void>>();
  readonly #startedAt = performance.now();
  #started = 0;
  #timer: NodeJS.Timeout | undefined;

  private constructor(port: number, perSecond: number) {
    this.#port = port;
    this.#perSecond = perSecond;
  }

  static start(options: { readonly port: number; readonly perSecond: number }): Load {
    const load = new Load(options.port, options.perSecond);
    load.#tick();
    return load;
  }

  /** A mark for {@link Load.since}. */
  mark(): number {
    return Date.now();
  }

  /** Requests that came back since. */
  count(mark = 0): number {
    return this.#done.filter(({ at }) => at >= mark).length;
  }

  failures(mark = 0): readonly Failure[] {
    return this.#failures.filter(({ at }) => at >= mark);
  }

  /** The figures of all requests that ended after `mark`. */
  since(mark: number): LoadFigures {
    const done = this.#done.filter(({ at }) => at >= mark);
    const failures = this.failures(mark);
    const times = done.map(({ tookMs }) => tookMs).toSorted((a, b) => a - b);
    const seconds = Math.max(1, this.mark() - mark) / 1000;
    return {
      requests: done.length + failures.length,
      failures,
      perSecond: done.length / seconds,
      p50Ms: quantile(times, 0.5),
      p99Ms: quantile(times, 0.99),
      callers: new Set(done.map(({ caller }) => caller)),
      certificates: new Set(done.map(({ certificate }) => certificate)),
    };
  }

  /** Starts no more, and resolves when the last one has come back. */
  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    await Promise.all(this.#running);
    this.#kept.destroy();
  }

  #tick(): void {
    const now = performance.now();
    const intervalMs = 1000 / this.#perSecond;
    for (
      let due = this.#startedAt + this.#started * intervalMs;
      due <= now;
      due = this.#startedAt + this.#started * intervalMs
    ) {
      this.#started += 1;
      const one = this.#send(due, this.#started % 2 === 0).finally(() => this.#running.delete(one));
      this.#running.add(one);
    }
    this.#timer = setTimeout(() => this.#tick(), 1);
  }

  async #send(due: number, isFresh: boolean): Promise<void> {
    const sentAt = Date.now();
    try {
      const agent = isFresh ? false : this.#kept;
      const { status, caller, certificate } = await readCall(
        request({ host: "127.0.0.1", port: this.#port, agent, timeout: 5000 }),
      );
      if (status !== 200) throw new Error(`status ${status}`);
      this.#done.push({ at: Date.now(), tookMs: performance.now() - due, caller, certificate });
    } catch (thrown) {
      this.#failures.push({ sentAt, at: Date.now(), reason: reasonOf(thrown) });
    }
  }
}

function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}
