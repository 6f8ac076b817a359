import { describe, expect, test } from "vitest";
import { auditHistory } from "../../src/daemon/audit-history.ts";
import type { LogMessage, TailOptions } from "../../src/events/bus.ts";
import { EventsError } from "../../src/events/error.ts";
import { auditSubject } from "../../src/events/subjects.ts";

const second = 1000;

/** A log of one record a second, every third of another issuer, of which those before `first` are no longer kept. */
function log(count: number, first = 1) {
  const messages = Array.from({ length: count }, (_, at): LogMessage => {
    const payload = Buffer.from(JSON.stringify({ at: at * second })).toString("base64");
    return {
      sequence: at + 1,
      subject: auditSubject(at % 3 === 0 ? "other" : "own"),
      bytes: Buffer.from(JSON.stringify({ payload })),
    };
  });
  let read = 0;
  return {
    get read() {
      return read;
    },
    lastAudit: (issuer: string) =>
      Promise.resolve(messages.findLast(({ subject }) => subject === auditSubject(issuer))),
    async *tailAudit({ since = 1, signal }: TailOptions) {
      await Promise.resolve();
      if (since > 1 && since < first) throw new EventsError("BUS_GAP", "no longer kept");
      for (const message of messages.slice(Math.max(since, first) - 1)) {
        if (signal.aborted) return;
        read += 1;
        yield message;
      }
      // A tail waits for what is to come.
      await new Promise(() => undefined);
    },
  };
}

async function timesOf(bus: ReturnType<typeof log>, from: number): Promise<readonly number[]> {
  const times: number[] = [];
  const { signal } = new AbortController();
  for await (const bytes of auditHistory(bus).readAudit({ issuer: "own", from, signal })) {
    const { payload } = JSON.parse(Buffer.from(bytes).toString("utf8")) as { payload: string };
    const { at } = JSON.parse(Buffer.from(payload, "base64").toString("utf8")) as { at: number };
    times.push(at / second);
  }
  return times;
}

const own = (from: number, to: number): readonly number[] =>
  Array.from({ length: to - from }, (_, at) => from + at).filter((at) => at % 3 !== 0);

describe("the audit log read back", () => {
  test("REV-04 begins a little before the moment, ends with the newest, and reads no more than that", async () => {
    const bus = log(20_000);
    const times = await timesOf(bus, 19_000 * second);
    expect(times[0]).toBeLessThan(19_000);
    expect(times).toEqual(own(times[0] ?? 0, 20_000));
    expect(bus.read).toBeLessThan(1500);
  });

  test.for([0, 5000, 11_000])(
    "REV-04 of a log whose begin is gone it gives what is kept, from %i s on",
    async (from) => {
      const times = await timesOf(log(12_000, 9000), from * second);
      expect(times.at(-1)).toBe(11_999);
      expect(times[0]).toBeLessThanOrEqual(Math.max(from, 9001));
      expect(times).toEqual(own(times[0] ?? 0, 12_000));
    },
  );

  test("REV-04 an empty chain gives nothing", async () => {
    expect(await timesOf(log(0), 0)).toEqual([]);
  });
});
