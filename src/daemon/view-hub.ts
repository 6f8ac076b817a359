import type { Selector } from "../core/spiffe/selector.ts";
import type { TrustDomain } from "../core/spiffe/spiffe-id.ts";
import type { WorkloadView } from "../core/svid/workload-view.ts";
import type { NodeService, NodeStatus } from "./node-service.ts";

interface Waiting {
  readonly selectors: readonly Selector[];
  readonly pid: number;
  readonly onChange: (view: WorkloadView) => void;
  watch: { current(): WorkloadView; close(): void } | undefined;
  closed: boolean;
}

/** Stands between the socket, which answers at once, and the node's service, which may have to enrol first. */
export class ViewHub {
  readonly #nothingYet: WorkloadView;
  readonly #waiting = new Set<Waiting>();
  #service: NodeService | undefined;

  constructor(trustDomain: TrustDomain) {
    const [bundles, crls] = [new Map(), new Map()];
    this.#nothingYet = { trustDomain, svids: [], bundles, crls, synced: false };
  }

  get service(): NodeService | undefined {
    return this.#service;
  }

  /** The service is there: whoever waited is told what it is entitled to. */
  attach(service: NodeService): void {
    this.#service = service;
    for (const waiting of this.#waiting) {
      if (waiting.closed) continue;
      waiting.watch = service.watch(waiting.selectors, waiting.onChange, waiting.pid);
      waiting.onChange(waiting.watch.current());
    }
    this.#waiting.clear();
  }

  watch(
    selectors: readonly Selector[],
    onChange: (view: WorkloadView) => void,
    pid = 0,
  ): { current(): WorkloadView; close(): void } {
    if (this.#service !== undefined) return this.#service.watch(selectors, onChange, pid);
    const waiting: Waiting = { selectors, pid, onChange, watch: undefined, closed: false };
    this.#waiting.add(waiting);
    return {
      current: () => waiting.watch?.current() ?? this.#nothingYet,
      close: () => {
        waiting.closed = true;
        waiting.watch?.close();
        this.#waiting.delete(waiting);
      },
    };
  }

  status(): NodeStatus | undefined {
    return this.#service?.status();
  }
}
