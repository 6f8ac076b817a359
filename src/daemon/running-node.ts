import type { Log } from "../kit/log.ts";
import type { NodeConfig } from "./config.ts";
import type { PrometheusMetrics } from "./prometheus.ts";
import type { Opened } from "./shutdown.ts";
import type { ViewHub } from "./view-hub.ts";

/** What every part of a node daemon shares. */
export interface RunningNode {
  readonly config: NodeConfig;
  readonly log: Log;
  readonly metrics: PrometheusMetrics;
  readonly hub: ViewHub;
  /** Aborted when the daemon stops. */
  readonly stop: AbortController;
  /** Closed, last first, when the daemon stops. */
  readonly opened: Opened[];
}
