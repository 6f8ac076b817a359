import type { Push } from "../identity/consumers.ts";
import type { StreamOf } from "../identity/kept-consumers.ts";
import type { Log } from "../kit/log.ts";
import type { Metrics } from "../kit/metrics.ts";
import type { ConsumerLog } from "../sds/ports.ts";
import type { ClientLog, DeliveredVersions } from "../workload-api/ports.ts";
import type { ViewHub } from "./view-hub.ts";

/** Connects what SDS and the Workload API tell of their streams to the node's acknowledgements, the log and the metrics. */
export function consumerLogs(
  hub: ViewHub,
  log: Log,
  metrics: Metrics,
): { readonly sds: ConsumerLog; readonly clients: ClientLog } {
  const known = new Set<StreamOf>();
  // A stream may open before the node's service is there; it is then told of at its first push.
  const consumers = (kind: "sds" | "workload-api", stream: StreamOf) => {
    const { service } = hub;
    if (service !== undefined && !known.has(stream)) {
      known.add(stream);
      service.consumers.opened(kind, stream);
    }
    return service?.consumers;
  };
  const sds: ConsumerLog = {
    opened: (consumer) => void consumers("sds", consumer),
    sent(consumer, secrets) {
      metrics.increment("herald_node_pushes_total", { outcome: "sent" });
      consumers("sds", consumer)?.sent(consumer, secrets);
      log.debug(
        { pid: consumer.pid, node: consumer.node, secrets: secrets.map(describe) },
        "secrets sent",
      );
    },
    acknowledged(consumer, secrets) {
      metrics.increment("herald_node_pushes_total", { outcome: "acknowledged" });
      consumers("sds", consumer)?.acknowledged(consumer, secrets);
      log.info(
        { pid: consumer.pid, node: consumer.node, secrets: secrets.map(describe) },
        "secrets acknowledged",
      );
    },
    refused(consumer, refusal) {
      metrics.increment("herald_node_pushes_total", { outcome: "refused" });
      consumers("sds", consumer)?.refused(consumer, refusal);
      log.error(
        {
          alarm: "nack",
          pid: consumer.pid,
          node: consumer.node,
          name: refusal.name,
          message: refusal.message,
        },
        "Envoy refused a secret and keeps what it had",
      );
    },
    closed(consumer) {
      known.delete(consumer);
      hub.service?.consumers.closed(consumer);
    },
  };
  const clients: ClientLog = {
    opened: (client) => void consumers("workload-api", client),
    flushed: (client, versions) =>
      consumers("workload-api", client)?.flushed(client, pushesOf(client.method, versions)),
    closed(client) {
      known.delete(client);
      hub.service?.consumers.closed(client);
    },
  };
  return { sds, clients };
}

function pushesOf(method: string, versions: DeliveredVersions): readonly Push[] {
  const bundles: Push = { name: method, source: { kind: "bundle", sequences: versions.sequences } };
  return [
    bundles,
    ...versions.svids.map(
      (svid, index): Push => ({ name: `${method} ${index}`, source: { kind: "svid", ...svid } }),
    ),
  ];
}

/** A push as logs name it: never its bytes. */
function describe(push: Push): { readonly name: string; readonly of: string } {
  const { source } = push;
  return {
    name: push.name,
    of: source.kind === "svid" ? source.serial : [...source.sequences.values()].join(","),
  };
}
