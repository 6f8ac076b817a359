import type { HttpRoutes } from "../rpc/http.ts";
import type { PrometheusMetrics } from "./prometheus.ts";

/** What readiness and health say: empty `problems` is well. */
export interface Health {
  readonly problems: readonly string[];
  /** Shown as JSON, for people and dashboards. */
  readonly detail: Readonly<Record<string, unknown>>;
}

/**
 * `/metrics`, `/healthz` (the process does its work) and `/readyz` (it can serve what it is there for). Health is about work done, not about the
 * process being up: a node whose sync is broken says so.
 */
export function healthRoutes(options: {
  readonly metrics: PrometheusMetrics;
  readonly refresh: () => void;
  readonly health: () => Health;
  readonly ready: () => Health;
}): HttpRoutes {
  return {
    "GET /metrics": async () => {
      options.refresh();
      return { status: 200, ...(await options.metrics.expose()) };
    },
    "GET /healthz": () => Promise.resolve(answer(options.health())),
    "GET /readyz": () => Promise.resolve(answer(options.ready())),
  };
}

function answer(health: Health): {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
} {
  const isWell = health.problems.length === 0;
  const body = JSON.stringify({
    status: isWell ? "ok" : "failing",
    problems: health.problems,
    ...health.detail,
  });
  return { status: isWell ? 200 : 503, contentType: "application/json", body: `${body}\n` };
}
