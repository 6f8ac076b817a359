import type { ConsumerReport } from "../../../src/core/envelope/payloads.ts";
import { Consumers, type Push } from "../../../src/identity/consumers.ts";
import type { StreamOf } from "../../../src/identity/kept-consumers.ts";
import { authorityUses } from "../../../src/identity/svids-in-use.ts";
import { now, trustDomain } from "../../core/envelope/support/keys.ts";
import { HeldClock } from "../../support/held-clock.ts";

/** Consumers of some processes, each of which the test starts and ends. */
export class ConsumersWorld {
  readonly clock: HeldClock = new HeldClock(now);
  readonly running: Map<number, string> = new Map([
    [7, "s7"],
    [8, "s8"],
  ]);
  /** Who signed which SVID. */
  readonly authorities: Map<string, string> = new Map([["4a01", "aa"]]);
  consumers: Consumers = this.restarted();
  changes = 0;

  restarted(): Consumers {
    return new Consumers({
      clock: this.clock,
      authorityOf: (serial) => this.authorities.get(serial) ?? "",
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

  /** What an acknowledgement would tell of the SVIDs that are in use. */
  uses(): readonly string[] {
    const told = authorityUses(this.consumers.svids(), this.clock.now());
    return told.map(({ authority, svids, until }) => `${authority} ${svids} ${until - now}`);
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
export const svid = (expiresAt: number, name = "default", serial = "4a01"): Push => ({
  name,
  source: { kind: "svid", serial, expiresAt },
});
