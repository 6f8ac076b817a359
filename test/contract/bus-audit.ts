import { expect, test } from "vitest";
import type { IssuerBus, LogMessage } from "../../src/events/bus.ts";
import { bytes, never, text } from "./bus-recorder.ts";

/** How every bus lets an auditor read one issuer's chain. */
export function auditReading(issuerOf: () => IssuerBus): void {
  test("one issuer's chain, from its first record or a later one to its last, and then it ends", async () => {
    const issuer = issuerOf();
    const words = Array.from({ length: 30 }, (_, at) => `record ${at}`);
    for (const word of words) {
      await issuer.appendAudit("reading", bytes(word));
      await issuer.appendAudit("another", bytes(`not ${word}`));
    }
    const read = async (chain: string, from: number): Promise<readonly LogMessage[]> => {
      const found: LogMessage[] = [];
      for await (const record of issuer.readAudit({ issuer: chain, from, signal: never() }))
        found.push(record);
      return found;
    };
    const all = await read("reading", 1);
    expect(all.map((record) => text(record.bytes))).toEqual(words);
    const rest = await read("reading", all[10]?.sequence ?? 0);
    expect(rest.map((record) => text(record.bytes))).toEqual(words.slice(10));
    expect(await read("nobody", 1)).toEqual([]);
  });

  test("aborting ends it", async () => {
    const abort = new AbortController();
    const issuer = issuerOf();
    for (const word of ["one", "two"]) await issuer.appendAudit("aborted", bytes(word));
    const found: string[] = [];
    for await (const record of issuer.readAudit({
      issuer: "aborted",
      from: 1,
      signal: abort.signal,
    })) {
      found.push(text(record.bytes));
      abort.abort();
    }
    expect(found).toEqual(["one"]);
  });
}
