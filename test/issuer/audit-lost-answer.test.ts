import { describe, expect, test } from "vitest";
import type { AuditAction } from "../../src/core/envelope/audit-payloads.ts";
import { AuditChain } from "../../src/issuer/audit/audit-chain.ts";
import { silentLog } from "../../src/kit/log.ts";
import { HeldClock } from "../support/held-clock.ts";
import { MemoryBus } from "../support/memory-bus.ts";
import { MemoryJournal } from "../support/memory-journal.ts";
import { payloadOf } from "../support/simulation-audit.ts";
import { simulationDomain } from "../support/simulation-domain.ts";

function order(verb: string): AuditAction {
  return { kind: "admin", verb, subject: "", by: { kind: "unix", uid: 0, pid: 1 } };
}

describe("a broker that went away with the answer to a record that it has (INV-9)", () => {
  test("each record stands in the stream once", async () => {
    const clock = new HeldClock(Date.UTC(2026, 10, 22, 12));
    const domain = await simulationDomain(clock.now());
    const bus = new MemoryBus({ trustDomain: domain.trustDomain });
    const stream = bus.issuer("issuer");
    const written: string[] = [];
    const chain = new AuditChain({
      onRecord: () => undefined,
      issuer: domain.issuer,
      name: "one",
      trust: domain.trust(),
      signer: domain.signer,
      journal: new MemoryJournal(),
      stream,
      clock,
      log: silentLog,
    });
    await chain.resume([]);
    await chain.record(order("first"));
    bus.faults.loseAcks("issuer", 1);
    await expect(chain.record(order("lost"))).rejects.toMatchObject({ code: "AUDIT_UNAVAILABLE" });
    // What the issuer does when the bus is back, before anything is recorded.
    await chain.check();
    await chain.record(order("last"));
    const stop = new AbortController();
    for await (const { bytes } of bus.issuer("eyes").tailAudit({ since: 1, signal: stop.signal })) {
      const { n } = payloadOf<{ n: string }>(bytes);
      written.push(n);
      if (n === "3") break;
    }
    expect(written).toEqual(["1", "2", "3"]);
  });
});
