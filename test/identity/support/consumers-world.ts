import type { ConsumerReport } from "../../../src/core/envelope/payloads.ts";
import { Consumers, type Push, type StreamOf } from "../../../src/identity/consumers.ts";
import { now, trustDomain } from "../../core/envelope/support/keys.ts";
import { HeldClock } from "../../support/held-clock.ts";

/** Consumers of some processes, each of which the test starts and ends. */
export class ConsumersWorld {
  readonly clock: HeldClock = new HeldClock(now);
  readonly running: Map<number, string> = new Map([
    [7, "s7"],
    [8, "s8"],
  ]);
  consumers: Consumers = this.restarted();
  changes = 0;

  restarted(): Consumers {
    return new Consumers({
      clock: this.clock,
      processes: { startOf: (pid) => this.running.get(pid) },
      onChange: () => {
        this.changes += 1;
      },
    });
  }

  stream(pid: number, kind: "sds" | "workload-api" = "sds"): StreamOf {
    const stream = { pid };
    this.consumers.opened(kind, stream);
    return stream;
  }

  /** The report of a process; undefined when it holds nothing any more. */
  of(pid: number): ConsumerReport | undefined {
    return this.consumers.report().find((report) => report.id.split("-").at(-2) === String(pid));
  }

  sequences(pid: number): readonly [bigint | undefined, bigint | undefined] {
    const report = this.of(pid);
    return [report?.sent[trustDomain], report?.acknowledged[trustDomain]];
  }
}

export const bundle = (sequence: number, name = "ROOTCA"): Push => ({
  name,
  source: { kind: "bundle", sequences: new Map([[trustDomain, BigInt(sequence)]]) },
});
export const svid = (expiresAt: number, name = "default"): Push => ({
  name,
  source: { kind: "svid", serial: "4a01", expiresAt },
});
