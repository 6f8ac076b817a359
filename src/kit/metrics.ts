/** Counting as the rooms see it; prom-client stands behind it in the daemons. Names end in `_total` for counters (Prometheus' convention). */
export interface Metrics {
  increment(name: string, labels?: Labels): void;
  set(name: string, value: number, labels?: Labels): void;
  /** A duration in seconds. */
  observe(name: string, seconds: number, labels?: Labels): void;
}

export type Labels = Readonly<Record<string, string>>;

/** Counts nothing. */
export const silentMetrics: Metrics = { increment() {}, set() {}, observe() {} };
