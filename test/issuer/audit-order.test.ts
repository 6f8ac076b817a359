import { describe, expect, test } from "vitest";
import type { AuditAction } from "../../src/core/envelope/audit-payloads.ts";
import { AuditChain } from "../../src/issuer/audit/audit-chain.ts";
import type { Journal, JournalRecord } from "../../src/issuer/ports.ts";
import { silentLog } from "../../src/kit/log.ts";
import { HeldClock } from "../support/held-clock.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { payloadOf } from "../support/simulation-audit.ts";
import { simulationDomain } from "../support/simulation-domain.ts";
import { quiet } from "../support/simulation-quiet.ts";

/** A write that somebody must let pass. */
interface Gate {
  readonly bytes: readonly Uint8Array[];
  readonly pass: () => void;
  readonly fail: (reason: Error) => void;
}

const clock = new HeldClock(Date.UTC(2026, 10, 22, 12));
const domain = await simulationDomain(clock.now());

/** A chain whose disk and stream wait for the test at every write. */
async function gatedChain(kept: readonly Uint8Array[] = [], streamed?: Uint8Array) {
  const disk: Gate[] = [];
  const stream: Gate[] = [];
  const gate = (gates: Gate[], bytes: readonly Uint8Array[]): Promise<void> =>
    new Promise((pass, fail) => gates.push({ bytes, pass, fail }));
  const journal: Pick<Journal, "append"> = {
    append: (records: readonly JournalRecord[]) =>
      gate(
        disk,
        records.map((record) => record.bytes),
      ),
  };
  const chain = new AuditChain({
    onRecord: () => undefined,
    issuer: domain.issuer,
    name: "one",
    trust: domain.trust(),
    signer: domain.signer,
    journal: { ...journal, load: () => Promise.resolve([]) },
    stream: {
      appendAudit: (_name, bytes) => gate(stream, [bytes]),
      lastAudit: () => Promise.resolve(streamed === undefined ? undefined : { bytes: streamed }),
    },
    clock,
    log: silentLog,
  });
  await chain.resume(kept);
  return { chain, disk, stream };
}

function order(verb: string): AuditAction {
  return { kind: "admin", verb, subject: "", by: { kind: "unix", uid: 0, pid: 1 } };
}

function numberOf(bytes: Uint8Array | undefined): number {
  return Number(payloadOf<{ n: string }>(bytes ?? new Uint8Array()).n);
}

/** Which of the calls have been answered, and how. */
function watch(calls: readonly Promise<void>[]): readonly string[] {
  const seen = calls.map(() => "waits");
  for (const [at, call] of calls.entries())
    call.then(
      () => {
        seen[at] = "kept";
      },
      () => {
        seen[at] = "failed";
      },
    );
  return seen;
}

describe("records that come together (invariant 9)", () => {
  test("INV-9: they are written at once, and each is answered after its own disk and stream writes, in order", async () => {
    const { chain, disk, stream } = await gatedChain();
    const seen = watch([1, 2, 3].map((at) => chain.record(order(`order ${at}`))));
    await quiet();
    expect(disk.map((gate) => numberOf(gate.bytes[0]))).toEqual([1, 2, 3]);
    expect(stream.map((gate) => numberOf(gate.bytes[0]))).toEqual([1]);
    stream[0]?.pass();
    await quiet();
    expect(seen).toEqual(["waits", "waits", "waits"]);
    // The stream is never more than one record ahead of the disk.
    expect(stream).toHaveLength(1);
    disk[0]?.pass();
    await quiet();
    expect(seen).toEqual(["kept", "waits", "waits"]);
    expect(stream.map((gate) => numberOf(gate.bytes[0]))).toEqual([1, 2]);
  });

  test("INV-9: a disk that says a later write is done does not speak for an earlier one", async () => {
    const { chain, disk, stream } = await gatedChain();
    const seen = watch([1, 2].map((at) => chain.record(order(`order ${at}`))));
    await quiet();
    disk[1]?.pass();
    stream[0]?.pass();
    await quiet();
    expect(seen).toEqual(["waits", "waits"]);
    expect(stream).toHaveLength(1);
    disk[0]?.pass();
    await quiet();
    stream[1]?.pass();
    await quiet();
    expect(seen).toEqual(["kept", "kept"]);
  });

  test("INV-9: when the stream fails, all that waited fail, and the next call sends them first, same bytes", async () => {
    const { chain, disk, stream } = await gatedChain();
    const seen = watch([1, 2, 3].map((at) => chain.record(order(`order ${at}`))));
    await quiet();
    for (const gate of disk) gate.pass();
    const first = stream[0]?.bytes[0];
    stream[0]?.fail(new Error("the stream is away"));
    await quiet();
    expect(seen).toEqual(["failed", "failed", "failed"]);
    const next = watch([chain.record(order("order 4"))]);
    for (let sent = 1; sent <= 4; sent += 1) {
      await quiet();
      stream[sent]?.pass();
      disk[3]?.pass();
    }
    await quiet();
    expect(next).toEqual(["kept"]);
    expect(stream.slice(1).map((gate) => numberOf(gate.bytes[0]))).toEqual([1, 2, 3, 4]);
    expect(stream[1]?.bytes[0]).toBe(first);
  });

  test("INV-9: while the stream is away no further record is made", async () => {
    const { chain, disk, stream } = await gatedChain();
    const first = watch([chain.record(order("order 1"))]);
    await quiet();
    disk[0]?.pass();
    stream[0]?.fail(new Error("the stream is away"));
    await quiet();
    const second = watch([chain.record(order("order 2"))]);
    await quiet();
    stream[1]?.fail(new Error("the stream is away"));
    await quiet();
    expect([...first, ...second]).toEqual(["failed", "failed"]);
    expect(disk).toHaveLength(1);
  });

  test("INV-9: when the disk fails, all from there on fail, nothing behind it reaches the stream, and only a restart helps", async () => {
    const { chain, disk, stream } = await gatedChain();
    const seen = watch([1, 2, 3].map((at) => chain.record(order(`order ${at}`))));
    await quiet();
    disk[0]?.pass();
    disk[1]?.fail(new Error("the disk is full"));
    disk[2]?.pass();
    for (let sent = 0; sent < 3; sent += 1) {
      stream[sent]?.pass();
      await quiet();
    }
    expect(seen).toEqual(["kept", "failed", "failed"]);
    expect(stream.map((gate) => numberOf(gate.bytes[0]))).toEqual([1, 2]);
    await expect(chain.record(order("order 4"))).rejects.toMatchObject({
      code: "AUDIT_UNAVAILABLE",
    });
    expect(disk).toHaveLength(3);
  });

  test("TM-I-05: whatever of them a crash left on the disk alone goes out at the next start, same bytes, before anything new", async () => {
    const before = await gatedChain();
    watch([1, 2, 3, 4].map((at) => before.chain.record(order(`order ${at}`))));
    await quiet();
    const onDisk = before.disk.flatMap((gate) => gate.bytes);
    const random = new SeededRandom(7);
    for (let round = 0; round < 10; round += 1) {
      const reached = Math.floor(random.fraction() * 5);
      const streamed = reached === 0 ? undefined : onDisk[reached - 1];
      const after = await gatedChain(onDisk, streamed);
      const next = watch([after.chain.record(order("order 5"))]);
      for (let sent = 0; sent <= 4 - reached; sent += 1) {
        await quiet();
        after.stream[sent]?.pass();
        after.disk[0]?.pass();
      }
      await quiet();
      expect(next).toEqual(["kept"]);
      const sent = after.stream.map((gate) => gate.bytes[0]);
      expect(sent.slice(0, -1)).toEqual(onDisk.slice(reached));
      expect(numberOf(sent.at(-1))).toBe(5);
    }
  });

  test("a restart of a fleet has at most 64 records on their way", async () => {
    const { chain, disk, stream } = await gatedChain();
    watch(Array.from({ length: 80 }, (_, at) => chain.record(order(`order ${at}`))));
    await quiet();
    expect(disk).toHaveLength(64);
    disk[0]?.pass();
    stream[0]?.pass();
    await quiet();
    expect(disk).toHaveLength(65);
  });
});
