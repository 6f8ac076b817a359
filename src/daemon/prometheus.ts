import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { Labels, Metrics } from "../kit/metrics.ts";

/** Metrics for `GET /metrics`. Each name is registered at its first use; its label names are those of that use. */
export class PrometheusMetrics implements Metrics {
  readonly #registry = new Registry();
  readonly #counters = new Map<string, Counter>();
  readonly #gauges = new Map<string, Gauge>();
  readonly #histograms = new Map<string, Histogram>();

  constructor() {
    collectDefaultMetrics({ register: this.#registry });
  }

  increment(name: string, labels: Labels = {}): void {
    this.#find(this.#counters, name, () => new Counter(this.#settings(name, labels))).inc(labels);
  }

  set(name: string, value: number, labels: Labels = {}): void {
    this.#find(this.#gauges, name, () => new Gauge(this.#settings(name, labels))).set(
      labels,
      value,
    );
  }

  observe(name: string, seconds: number, labels: Labels = {}): void {
    const buckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10];
    this.#find(
      this.#histograms,
      name,
      () => new Histogram({ ...this.#settings(name, labels), buckets }),
    ).observe(labels, seconds);
  }

  /** The exposition text and its content type. */
  async expose(): Promise<{ readonly contentType: string; readonly body: string }> {
    return { contentType: this.#registry.contentType, body: await this.#registry.metrics() };
  }

  #settings(
    name: string,
    labels: Labels,
  ): { name: string; help: string; labelNames: string[]; registers: Registry[] } {
    return {
      name,
      help: helpOf(name),
      labelNames: Object.keys(labels),
      registers: [this.#registry],
    };
  }

  #find<T>(known: Map<string, T>, name: string, make: () => T): T {
    const found = known.get(name) ?? make();
    known.set(name, found);
    return found;
  }
}

/** What each metric means, in one place; docs/operations.md lists the same. */
const help: Readonly<Record<string, string>> = {
  herald_issuer_requests_refused_total: "Requests of nodes that were refused, by code",
  herald_issuer_requests_busy_total: 'Requests of nodes that were answered "later", by cause',
  herald_issuer_requests_silent_total: "Requests that were too many to be answered, by cause",
  herald_issuer_requests_repeated_total: "Requests that were answered as they were before",
  herald_issuer_queue_waiting: "Requests of nodes that wait for their turn",
  herald_issuer_store_alarms_total:
    "Times the broker's store was not what this issuer wrote, by kind",
  herald_issuer_objects_pending: "Objects recorded by the issuer and not yet where nodes read them",
  herald_issuer_behind_total: "Requests that knew a newer head than this issuer",
  herald_node_bus_alarms_total: "Deliveries of the broker that were refused, by code",
  herald_node_stale: "1 while no head came for three intervals",
  herald_node_sign_failures_total: "Sign-requests that nobody answered",
  herald_node_svids: "Workload SVIDs held",
  herald_node_entries: "Entries that hold on this node",
  herald_node_next_expiry_seconds: "Seconds until the first workload SVID ends",
  herald_node_identity_expiry_seconds: "Seconds until the node's own SVID ends",
  herald_node_connections: "Open connections on the node's socket",
  herald_node_pushes_total: "Secrets handed to SDS streams, by outcome",
  herald_node_crls: "CRLs shown to Envoys",
  herald_node_crls_stripped: "1 while there are CRLs that cannot be shown",
  herald_node_crl_next_update_seconds: "Seconds until the first CRL ends",
  herald_node_crls_refused_total: "Published CRLs that do not hold, by code",
  herald_node_crls_withheld_total: "Sets of CRLs that the last check before Envoy held back",
  herald_issuer_nodes: "Enrolled nodes",
  herald_issuer_svids: "Live SVIDs that this issuer knows of",
  herald_issuer_revoked_svids: "Revoked SVIDs that have not ended long ago",
  herald_issuer_crl_age_seconds: "Age of the oldest published CRL; 0 while nothing is revoked",
  herald_issuer_crl_next_update_seconds:
    "Seconds until the first published CRL ends, and everybody below its authority is refused",
  herald_issuer_crls_failing: "Trusted authorities whose CRL could not be made anew, or at all",
  herald_issuer_entries: "Entries",
};

function helpOf(name: string): string {
  return help[name] ?? name;
}
