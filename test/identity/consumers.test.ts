import { describe, expect, test } from "vitest";
import { now, trustDomain } from "../core/envelope/support/keys.ts";
import { bundle, ConsumersWorld, svid } from "./support/consumers-world.ts";

test("a consumer is a process, whatever its streams: sent and acknowledged are told apart", () => {
  const world = new ConsumersWorld();
  const stream = world.stream(7);
  world.consumers.sent(stream, [bundle(5), svid(now + 1000)]);
  expect(world.of(7)).toEqual({
    id: "sds-7-s7",
    kind: "sds",
    connected: true,
    sent: { [trustDomain]: 5n },
    acknowledged: { [trustDomain]: 0n },
    flushedAt: 0,
    heldUntil: now + 1000,
    refusal: null,
  });
  world.consumers.acknowledged(stream, [bundle(5)]);
  expect(world.sequences(7)).toEqual([5n, 5n]);
  expect(world.consumers.report()).toHaveLength(1);
});

test("of several names the one furthest behind counts", () => {
  const world = new ConsumersWorld();
  const stream = world.stream(7);
  world.consumers.sent(stream, [bundle(6, "ROOTCA"), bundle(6, "ALL")]);
  world.consumers.acknowledged(stream, [bundle(6, "ROOTCA")]);
  expect(world.sequences(7)).toEqual([6n, 0n]);
  world.consumers.acknowledged(stream, [bundle(5, "ALL")]);
  expect(world.sequences(7)).toEqual([6n, 5n]);
});

test("two streams of one process with one name are two: the slower one counts", () => {
  const world = new ConsumersWorld();
  const [fast, slow] = [world.stream(7), world.stream(7)];
  for (const stream of [fast, slow]) {
    world.consumers.sent(stream, [bundle(5)]);
    world.consumers.acknowledged(stream, [bundle(5)]);
    world.consumers.sent(stream, [bundle(6)]);
  }
  world.consumers.acknowledged(fast, [bundle(6)]);
  expect(world.sequences(7)).toEqual([6n, 5n]);
  world.consumers.acknowledged(slow, [bundle(6)]);
  expect(world.sequences(7)).toEqual([6n, 6n]);
});

describe("NACK", () => {
  test("is told until the consumer accepts something of that name", () => {
    const world = new ConsumersWorld();
    const stream = world.stream(7);
    world.consumers.sent(stream, [bundle(5), svid(now + 1)]);
    world.consumers.refused(stream, { ...bundle(5), message: "m".repeat(1000) });
    expect(world.of(7)?.refusal).toEqual({ name: "ROOTCA", reason: "m".repeat(512) });
    world.consumers.acknowledged(stream, [svid(now + 1)]);
    world.consumers.sent(stream, [bundle(6)]);
    expect(world.of(7)?.refusal?.name).toBe("ROOTCA");
    world.consumers.acknowledged(stream, [bundle(6)]);
    expect(world.of(7)?.refusal).toBeNull();
  });
});

describe("reconnecting", () => {
  test("the same process is the same consumer, and still has what it accepted", () => {
    const world = new ConsumersWorld();
    const first = world.stream(7);
    world.consumers.sent(first, [bundle(5)]);
    world.consumers.acknowledged(first, [bundle(5)]);
    world.consumers.closed(first);
    expect(world.of(7)).toMatchObject({ connected: false, heldUntil: now + 3_600_000 });
    const second = world.stream(7);
    world.consumers.sent(second, [bundle(6)]);
    expect(world.consumers.report()).toHaveLength(1);
    expect(world.sequences(7)).toEqual([6n, 5n]);
    expect(world.of(7)?.connected).toBe(true);
  });

  test("a name it does not come back for counts half a minute more", async () => {
    const world = new ConsumersWorld();
    const first = world.stream(7);
    world.consumers.sent(first, [bundle(5, "ALL")]);
    world.consumers.closed(first);
    const second = world.stream(7);
    world.consumers.sent(second, [bundle(6)]);
    world.consumers.acknowledged(second, [bundle(6)]);
    expect(world.sequences(7)).toEqual([6n, 0n]);
    await world.clock.advance(30_000);
    expect(world.sequences(7)).toEqual([6n, 0n]);
    await world.clock.advance(1);
    expect(world.sequences(7)).toEqual([6n, 6n]);
  });

  test("a stream that ends beside others takes its names along", async () => {
    const world = new ConsumersWorld();
    const [stays, ends] = [world.stream(7), world.stream(7)];
    world.consumers.sent(stays, [bundle(6)]);
    world.consumers.acknowledged(stays, [bundle(6)]);
    world.consumers.sent(ends, [bundle(6, "ALL")]);
    world.consumers.closed(ends);
    await world.clock.advance(30_001);
    expect(world.sequences(7)).toEqual([6n, 6n]);
  });

  test("a later process with the same pid is another consumer, and the first one is gone", () => {
    const world = new ConsumersWorld();
    world.consumers.sent(world.stream(7), [bundle(5)]);
    const before = world.of(7)?.id;
    world.running.set(7, "later");
    // Its stream has not been seen to end yet: it still counts.
    expect(world.of(7)?.id).toBe(before);
  });
});

describe("going away", () => {
  test("a process that has ended holds nothing", () => {
    const world = new ConsumersWorld();
    const stream = world.stream(7);
    world.consumers.sent(stream, [bundle(5), svid(now + 9_000_000)]);
    world.consumers.closed(stream);
    expect(world.of(7)).toBeDefined();
    world.running.delete(7);
    expect(world.of(7)).toBeUndefined();
    expect(world.consumers.report()).toEqual([]);
  });

  test("one whose pid went to another process is dropped", () => {
    const world = new ConsumersWorld();
    const stream = world.stream(7);
    world.consumers.sent(stream, [bundle(5)]);
    world.consumers.closed(stream);
    world.running.set(7, "later");
    expect(world.of(7)).toBeUndefined();
  });

  test("one that runs on counts until the end of what it was given last", () => {
    const world = new ConsumersWorld();
    const [short, long] = [world.stream(7), world.stream(8)];
    world.consumers.sent(short, [bundle(5), svid(now + 60_000)]);
    world.consumers.sent(long, [bundle(5), svid(now + 86_400_000)]);
    world.consumers.closed(short);
    world.consumers.closed(long);
    expect(world.of(7)?.heldUntil).toBe(now + 3_600_000);
    expect(world.of(8)?.heldUntil).toBe(now + 86_400_000);
  });

  test("a stream of a process that is gone already counts while it is open", () => {
    const world = new ConsumersWorld();
    const stream = world.stream(99);
    world.consumers.sent(stream, [bundle(5)]);
    expect(world.of(99)).toMatchObject({ id: "sds-99-gone", connected: true });
    world.consumers.closed(stream);
    expect(world.of(99)).toBeUndefined();
  });

  test("closing twice, or what was never opened, is fine", () => {
    const world = new ConsumersWorld();
    const stream = world.stream(7);
    world.consumers.closed(stream);
    world.consumers.closed(stream);
    world.consumers.sent(stream, [bundle(5)]);
    world.consumers.refused({ pid: 8 }, { ...bundle(1), message: "" });
    expect(world.consumers.report()).toEqual([]);
  });
});

test("one that cannot acknowledge has what was flushed, since then", async () => {
  const world = new ConsumersWorld();
  const stream = world.stream(7, "workload-api");
  await world.clock.advance(500);
  world.consumers.flushed(stream, [bundle(5, "FetchX509SVID"), svid(now + 9000)]);
  expect(world.of(7)).toMatchObject({
    id: "workload-api-7-s7",
    kind: "workload-api",
    acknowledged: { [trustDomain]: 5n },
    flushedAt: now + 500,
    heldUntil: now + 9000,
  });
});

test("who was given nothing holds nothing", () => {
  const world = new ConsumersWorld();
  world.stream(7);
  expect(world.consumers.report()).toEqual([]);
});

test("one that is flushed what it has already does not have to settle again", async () => {
  const world = new ConsumersWorld();
  const stream = world.stream(7, "workload-api");
  world.consumers.flushed(stream, [bundle(5, "FetchX509SVID")]);
  await world.clock.advance(5_000);
  const again = world.stream(7, "workload-api");
  world.consumers.flushed(again, [bundle(5, "FetchX509SVID"), svid(now + 9000)]);
  expect(world.of(7)?.flushedAt).toBe(now);
  world.consumers.flushed(again, [bundle(6, "FetchX509SVID")]);
  expect(world.of(7)?.flushedAt).toBe(now + 5_000);
});

test("of more consumers than one acknowledgement carries, those that a gate waits for come first", () => {
  const world = new ConsumersWorld();
  for (let pid = 1000; pid < 1500; pid += 1) {
    world.running.set(pid, `s${pid}`);
    const stream = world.stream(pid);
    world.consumers.sent(stream, [bundle(6)]);
    if (pid >= 1450) world.consumers.acknowledged(stream, [bundle(5)]);
    else world.consumers.acknowledged(stream, [bundle(6)]);
    if (pid === 1200) world.consumers.refused(stream, { ...bundle(6), message: "no" });
  }
  const reports = world.consumers.report();
  expect(reports).toHaveLength(400);
  expect(reports[0]?.refusal?.reason).toBe("no");
  expect(reports.slice(1, 51).every(({ acknowledged }) => acknowledged[trustDomain] === 5n)).toBe(
    true,
  );
});

test("every change is told, for the acknowledgement and the disk", () => {
  const world = new ConsumersWorld();
  const stream = world.stream(7);
  world.consumers.sent(stream, [bundle(5)]);
  world.consumers.acknowledged(stream, [bundle(5)]);
  world.consumers.refused(stream, { ...bundle(5), message: "no" });
  world.consumers.closed(stream);
  expect(world.changes).toBe(4);
});

describe("INV-6: which SVIDs are in use, so that their roots must stay", () => {
  const old = svid(now + 1000, "default", "01");
  const between = svid(now + 2000, "default", "02");
  const fresh = svid(now + 5000, "default", "03");

  function world(): ConsumersWorld {
    const made = new ConsumersWorld();
    for (const [serial, authority] of [
      ["01", "aa"],
      ["02", "bb"],
      ["03", "cc"],
    ] as const)
      made.authorities.set(serial, authority);
    return made;
  }

  test("an Envoy uses what it accepted last, and may use all that it was sent since", () => {
    const made = world();
    const stream = made.stream(7);
    made.consumers.sent(stream, [old]);
    made.consumers.acknowledged(stream, [old]);
    expect(made.uses()).toEqual(["aa 1 1000"]);
    made.consumers.sent(stream, [between]);
    made.consumers.sent(stream, [fresh]);
    expect(made.uses()).toEqual(["aa 1 1000", "bb 1 2000", "cc 1 5000"]);
    made.consumers.acknowledged(stream, [fresh]);
    expect(made.uses()).toEqual(["cc 1 5000"]);
  });

  test("what it refused it does not use, but still what it has", () => {
    const made = world();
    const stream = made.stream(7);
    made.consumers.sent(stream, [old]);
    made.consumers.acknowledged(stream, [old]);
    made.consumers.sent(stream, [fresh]);
    made.consumers.refused(stream, { ...fresh, message: "no" });
    expect(made.uses()).toContain("aa 1 1000");
  });

  test("who cannot acknowledge has let go of the old one ten seconds after it was given the new one", () => {
    const made = world();
    const stream = made.stream(7, "workload-api");
    const long = svid(now + 100_000, "default", "01");
    made.consumers.flushed(stream, [long]);
    made.consumers.flushed(stream, [svid(now + 200_000, "default", "03")]);
    expect(made.uses()).toEqual(["aa 1 10000", "cc 1 200000"]);
    // Told again of what it has, it does not start to use the old one anew.
    made.consumers.flushed(stream, [svid(now + 200_000, "default", "03")]);
    expect(made.uses()).toEqual(["aa 1 10000", "cc 1 200000"]);
  });

  test("one that went away uses what it had until that ends, or it is gone; over a restart of the daemon too", async () => {
    const made = world();
    const stream = made.stream(7);
    made.consumers.sent(stream, [old]);
    made.consumers.acknowledged(stream, [old]);
    made.consumers.closed(stream);
    const saved = made.consumers.save();
    made.consumers = made.restarted();
    made.consumers.resume(saved);
    expect(made.uses()).toEqual(["aa 1 1000"]);
    await made.clock.advance(1000);
    expect(made.uses()).toEqual([]);
    const other = made.stream(8);
    made.consumers.sent(other, [fresh]);
    made.running.delete(8);
    made.consumers.closed(other);
    expect(made.uses()).toEqual([]);
  });

  test("one SVID in many places is one", () => {
    const made = world();
    for (const pid of [7, 8]) made.consumers.sent(made.stream(pid), [old]);
    expect(made.uses()).toEqual(["aa 1 1000"]);
  });
});
