import { systemClock } from "../kit/clock.ts";
import { serveHttp } from "../rpc/http.ts";
import type { UnixListener } from "../rpc/unix-server.ts";
import { healthRoutes } from "./health.ts";
import type { RunningNode } from "./running-node.ts";

/** Metrics and health of a node. Resolves with their URL. */
export async function serveHealth(running: RunningNode, listener: UnixListener): Promise<string> {
  const { config, log, metrics, hub } = running;
  const refresh = (): void => {
    const status = hub.status();
    metrics.set("herald_node_connections", listener.connections());
    metrics.set("herald_node_svids", status?.svids ?? 0);
    metrics.set("herald_node_entries", status?.entries ?? 0);
    const now = systemClock.now();
    if (status?.nextExpiry !== undefined)
      metrics.set("herald_node_next_expiry_seconds", (status.nextExpiry - now) / 1000);
    if (status !== undefined)
      metrics.set("herald_node_identity_expiry_seconds", (status.nodeExpiry - now) / 1000);
  };
  const check = (wantsSync: boolean) => {
    const status = hub.status();
    if (status === undefined) return { problems: ["the node is not enrolled yet"], detail: {} };
    const problems = [
      ...(status.stale ? ["no head for three intervals: the broker or the issuer is silent"] : []),
      ...(wantsSync && !status.synced ? ["the state was not read yet since the start"] : []),
      ...(status.svids < status.entries
        ? [`${status.entries - status.svids} of ${status.entries} SVIDs are missing`]
        : []),
      ...(status.crlFault === undefined ? [] : [status.crlFault]),
    ];
    return { problems, detail: { entries: status.entries, svids: status.svids } };
  };
  const http = await serveHttp({
    ...config.http.listen,
    log,
    routes: healthRoutes({
      metrics,
      refresh,
      health: () => check(true),
      ready: () => check(false),
    }),
  });
  running.opened.push({ name: "metrics", close: () => http.close() });
  return http.url;
}
