import { describe, expect, test } from "vitest";
import { BusRecorder, bytes, text } from "../contract/bus-recorder.ts";
import { MemoryBus } from "../support/memory-bus.ts";

// The simulation leans on these faults, so each is seen to bite.
const trustDomain = "example.org";

async function world(): Promise<{
  bus: MemoryBus;
  run: () => void;
  recorder: BusRecorder;
  issuer: ReturnType<MemoryBus["issuer"]>;
  node: ReturnType<MemoryBus["node"]>;
}> {
  const queue: (() => void)[] = [];
  const bus = new MemoryBus({ trustDomain, schedule: (run) => queue.push(run) });
  const recorder = new BusRecorder();
  const node = bus.node("a");
  await node.subscribe(recorder);
  recorder.heard.length = 0;
  const run = (): void => {
    for (const each of queue.splice(0)) each();
  };
  return { bus, run, recorder, issuer: bus.issuer(), node };
}

const heads = async (
  issuer: ReturnType<MemoryBus["issuer"]>,
  ...words: string[]
): Promise<void> => {
  for (const word of words) await issuer.broadcastHead(trustDomain, bytes(word));
};

describe("faults of the memory bus", () => {
  test("nothing arrives before the schedule runs it", async () => {
    const { issuer, recorder, run } = await world();
    await heads(issuer, "1");
    expect(recorder.heard).toEqual([]);
    run();
    expect(recorder.heard).toEqual(["head 1"]);
  });

  test("drop, duplicate, tamper, and taking a rule back", async () => {
    const { bus, issuer, recorder, run } = await world();
    const stop = bus.faults.drop(() => true);
    await heads(issuer, "1");
    stop();
    bus.faults.duplicate((passage) => text(passage.bytes) === "2");
    bus.faults.tamper(
      (passage) => text(passage.bytes) === "3",
      () => bytes("forged"),
    );
    await heads(issuer, "2", "3", "4");
    run();
    expect(recorder.heard).toEqual(["head 2", "head 2", "head forged", "head 4"]);
  });

  test("withhold and release in another order", async () => {
    const { bus, issuer, recorder, run } = await world();
    const stop = bus.faults.withhold((passage) => passage.to === "a");
    await heads(issuer, "1", "2", "3");
    run();
    expect(recorder.heard).toEqual([]);
    stop();
    bus.faults.release((count) => [...Array(count).keys()].toReversed());
    run();
    expect(recorder.heard).toEqual(["head 3", "head 2", "head 1"]);
  });

  test("rollback and forge change what is read, and make the issuer's next write conflict", async () => {
    const { bus, issuer, node } = await world();
    await issuer.put("bundle.x", bytes("1"));
    await issuer.put("bundle.x", bytes("2"));
    bus.faults.rollback("bundle.x", 1);
    expect(text(await node.read("bundle.x"))).toBe("1");
    bus.faults.forge("bundle.x", bytes("evil"));
    expect(text(await node.read("bundle.x"))).toBe("evil");
    await expect(issuer.put("bundle.x", bytes("3"))).rejects.toMatchObject({
      code: "BUS_CONFLICT",
    });
    bus.faults.destroy();
    expect((await issuer.loadAll()).size).toBe(0);
    await issuer.put("bundle.x", bytes("3"));
    expect(text(await node.read("bundle.x"))).toBe("3");
  });

  test("one reader can be shown what others are not", async () => {
    const { bus, issuer, node } = await world();
    await issuer.put("node.a", bytes("manifest"));
    bus.faults.withhold((passage) => passage.to === "a" && passage.subject === "read node.a");
    expect(await node.read("node.a")).toBeUndefined();
    expect(text(await bus.node("b").read("node.a"))).toBe("manifest");
  });

  test("a partition is silent, a disconnection is told, and both end", async () => {
    const { bus, issuer, node, recorder, run } = await world();
    bus.faults.partition("a");
    await heads(issuer, "lost");
    run();
    await expect(node.read("bundle.x")).rejects.toMatchObject({ code: "BUS_UNREACHABLE" });
    bus.faults.heal("a");
    bus.faults.disconnect("a");
    expect(node.connected()).toBe(false);
    bus.faults.reconnect("a");
    await heads(issuer, "heard");
    run();
    expect(recorder.heard).toEqual(["disconnected", "connected", "head heard"]);
  });

  test("a lost request and a lost answer are timeouts", async () => {
    const { bus, issuer, node, run } = await world();
    await issuer.serve(async () => bytes("answer"));
    for (const subject of ["herald.v1.req.sign.main.a", "reply"]) {
      const stop = bus.faults.drop((passage) => passage.subject === subject);
      const asked = node.request("sign", bytes("?"), { timeoutMs: 1 });
      const outcome = expect(asked).rejects.toMatchObject({ code: "BUS_TIMEOUT" });
      for (let step = 0; step < 4; step += 1) {
        await new Promise((resolve) => setImmediate(resolve));
        run();
      }
      await outcome;
      stop();
    }
  });
});
