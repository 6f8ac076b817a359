import { sealEnvelope } from "../../src/core/envelope/envelope.ts";
import type { Payloads } from "../../src/core/envelope/kinds.ts";
import type { SimulationDomain } from "./simulation-domain.ts";

/** One record of a chain. */
export interface Link {
  readonly bytes: Uint8Array;
  readonly digest: string;
  readonly n: bigint;
}

/** When the first record of such a chain was made. */
const chainStart: number = Date.UTC(2026, 10, 22, 12);

/** Continues a chain by `count` records, as whoever has the control key can. */
export async function extend(
  domain: SimulationDomain,
  before: readonly Link[],
  {
    count,
    mark = "",
    payload = {},
  }: {
    readonly count: number;
    readonly mark?: string;
    readonly payload?: Partial<Payloads["audit-record"]>;
  },
): Promise<readonly Link[]> {
  const chain = [...before];
  for (let at = 0; at < count; at += 1) {
    const n = (chain.at(-1)?.n ?? 0n) + 1n;
    const record: Payloads["audit-record"] = {
      td: domain.trustDomain,
      at: chainStart + Number(n),
      issuer: domain.issuer,
      n,
      prev: chain.at(-1)?.digest ?? "0".repeat(64),
      action: {
        kind: "admin",
        verb: "test",
        subject: mark,
        by: { kind: "unix", uid: 0, pid: 1 },
      },
      ...payload,
    };
    chain.push({ ...(await sealEnvelope("audit-record", record, domain.signer)), n });
  }
  return chain;
}
