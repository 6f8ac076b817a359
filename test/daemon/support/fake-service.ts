import type { Selector } from "../../../src/core/spiffe/selector.ts";
import { parseTrustDomain } from "../../../src/core/spiffe/spiffe-id.ts";
import type { WorkloadView } from "../../../src/core/svid/workload-view.ts";
import type { NodeService, NodeStatus } from "../../../src/daemon/node-service.ts";
import { Consumers } from "../../../src/identity/consumers.ts";
import { HeldClock } from "../../support/held-clock.ts";

export const trustDomain: ReturnType<typeof parseTrustDomain> = parseTrustDomain("example.org");

export const viewOf = (synced: boolean): WorkloadView => ({
  trustDomain,
  svids: [],
  bundles: new Map(),
  crls: new Map(),
  synced,
});

/** A node's service that shows one view to all, until it is told another. */
export class FakeService {
  readonly consumers: Consumers = new Consumers({
    clock: new HeldClock(0),
    processes: { startOf: (pid) => `s${pid}` },
    authorityOf: () => "",
    onChange: () => {},
  });
  readonly watched: (readonly Selector[])[] = [];
  readonly #listeners = new Set<(view: WorkloadView) => void>();
  #view: WorkloadView = viewOf(true);

  watch(selectors: readonly Selector[], onChange: (view: WorkloadView) => void) {
    this.watched.push(selectors);
    this.#listeners.add(onChange);
    return {
      current: (): WorkloadView => this.#view,
      close: (): void => void this.#listeners.delete(onChange),
    };
  }

  status(): NodeStatus {
    return {
      synced: true,
      stale: false,
      entries: 0,
      svids: 0,
      nextExpiry: undefined,
      nodeExpiry: 0,
      crlFault: undefined,
    };
  }

  /** How many watch now. */
  get watchers(): number {
    return this.#listeners.size;
  }

  tell(view: WorkloadView): void {
    this.#view = view;
    for (const listener of this.#listeners) listener(view);
  }

  /** As the daemon's parts take it: a class with private members has no other likeness. */
  get asService(): NodeService {
    return this as unknown as NodeService;
  }
}
