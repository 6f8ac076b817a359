import { describe, expect, test } from "vitest";
import { parseSelector } from "../../src/core/spiffe/selector.ts";
import type { WorkloadView } from "../../src/core/svid/workload-view.ts";
import { consumerLogs } from "../../src/daemon/consumer-logs.ts";
import { ViewHub } from "../../src/daemon/view-hub.ts";
import { CountedMetrics } from "../identity/support/followed.ts";
import { RecordedLog } from "../identity/support/recorded-log.ts";
import { FakeService, trustDomain, viewOf } from "./support/fake-service.ts";

const selectors = [parseSelector("unix:uid:1000")];

/** A watch and all that it was told. */
function watched(hub: ViewHub) {
  const told: WorkloadView[] = [];
  return { told, watch: hub.watch(selectors, (view) => told.push(view)) };
}

describe("WEP-13 before the node has enrolled", () => {
  test("callers get a view that says: not yet", () => {
    const hub = new ViewHub(trustDomain);
    const { told, watch } = watched(hub);
    expect(watch.current()).toEqual(viewOf(false));
    expect([told, hub.service, hub.status()]).toEqual([[], undefined, undefined]);
  });

  test("whoever waits is told as soon as the service is there, in the order of asking, and of every change after", () => {
    const hub = new ViewHub(trustDomain);
    const service = new FakeService();
    const order: string[] = [];
    hub.watch(selectors, () => order.push("first"));
    hub.watch(selectors, () => order.push("second"));
    const { told, watch } = watched(hub);
    hub.attach(service.asService);
    expect(order).toEqual(["first", "second"]);
    expect(told).toEqual([viewOf(true)]);
    expect(service.watched).toEqual([selectors, selectors, selectors]);
    const next = viewOf(true);
    service.tell(next);
    expect(told.at(-1)).toBe(next);
    expect(watch.current()).toBe(next);
  });

  test("who left meanwhile is neither watched nor told", () => {
    const hub = new ViewHub(trustDomain);
    const service = new FakeService();
    const { told, watch } = watched(hub);
    watch.close();
    watch.close();
    hub.attach(service.asService);
    expect([told, service.watchers]).toEqual([[], 0]);
  });

  test("who leaves another one while being told, leaves it untold", () => {
    const hub = new ViewHub(trustDomain);
    const service = new FakeService();
    const told: string[] = [];
    const later: { close: () => void } = { close: () => {} };
    hub.watch(selectors, () => {
      told.push("first");
      later.close();
    });
    const second = hub.watch(selectors, () => told.push("second"));
    later.close = () => second.close();
    hub.attach(service.asService);
    expect(told).toEqual(["first"]);
    expect(service.watchers).toBe(1);
  });

  test("who leaves after it, is watched no more", () => {
    const hub = new ViewHub(trustDomain);
    const service = new FakeService();
    const { watch } = watched(hub);
    hub.attach(service.asService);
    watch.close();
    expect(service.watchers).toBe(0);
  });
});

test("with the service there, callers go straight to it", () => {
  const hub = new ViewHub(trustDomain);
  const service = new FakeService();
  hub.attach(service.asService);
  const { told, watch } = watched(hub);
  expect(watch.current()).toEqual(viewOf(true));
  expect(told).toEqual([]);
  expect(hub.status()?.synced).toBe(true);
});

describe("consumer logs", () => {
  const consumer = { caller: "c1", pid: 7, stream: 1, node: "envoy-1" };
  const client = { caller: "c2", pid: 8, stream: 2, method: "FetchX509SVID" } as const;
  const secret = {
    name: "ROOTCA",
    version: "v1",
    source: { kind: "bundle", sequences: new Map([[trustDomain, 5n]]) },
  } as const;

  function world() {
    const hub = new ViewHub(trustDomain);
    const service = new FakeService();
    const [log, metrics] = [new RecordedLog(), new CountedMetrics()];
    return { hub, service, log, metrics, ...consumerLogs(hub, log, metrics) };
  }

  test("what SDS tells reaches the acknowledgement, the metrics and the log", () => {
    const { hub, service, log, metrics, sds } = world();
    hub.attach(service.asService);
    sds.opened(consumer);
    sds.sent(consumer, [secret]);
    sds.acknowledged(consumer, [secret]);
    sds.refused(consumer, { ...secret, message: "no" });
    const [report] = service.consumers.report();
    expect(report).toMatchObject({
      id: "sds-7-s7",
      acknowledged: { [trustDomain]: 5n },
      refusal: { name: "ROOTCA", reason: "no" },
    });
    for (const outcome of ["sent", "acknowledged", "refused"])
      expect(metrics.counts.get(`herald_node_pushes_total ${outcome}`)).toBe(1);
    expect(log.alarms).toEqual(["nack"]);
    sds.closed(consumer);
    expect(service.consumers.report()[0]?.connected).toBe(false);
  });

  test("a stream that opened before the service was there is a consumer from its first push on", () => {
    const { hub, service, sds, clients } = world();
    sds.opened(consumer);
    clients.opened(client);
    sds.sent(consumer, [secret]);
    hub.attach(service.asService);
    expect(service.consumers.report()).toEqual([]);
    sds.sent(consumer, [secret]);
    clients.flushed(client, {
      svids: [{ serial: "4a", expiresAt: 9 }],
      sequences: new Map([[trustDomain, 5n]]),
    });
    expect(service.consumers.report().map(({ id, acknowledged }) => [id, acknowledged])).toEqual([
      ["sds-7-s7", { [trustDomain]: 0n }],
      ["workload-api-8-s8", { [trustDomain]: 5n }],
    ]);
    clients.closed(client);
    sds.closed(consumer);
    expect(service.consumers.report().map(({ connected }) => connected)).toEqual([false, false]);
  });

  test("a stream that came and went before it is nobody", () => {
    const { hub, service, sds } = world();
    sds.opened(consumer);
    sds.closed(consumer);
    hub.attach(service.asService);
    sds.closed(consumer);
    expect(service.consumers.report()).toEqual([]);
  });
});
