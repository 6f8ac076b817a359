import { expect, test } from "vitest";
import type { AuditAction } from "../../src/core/envelope/audit-payloads.ts";
import { HoldingsOf } from "../../src/issuer/audit/audit-holdings.ts";
import { isMeant, mayMatch } from "../../src/issuer/audit/audit-search.ts";
import { openOffice, operator } from "./support/office.ts";
import { issued } from "./support/revocations.ts";

test("TM-N-04: what a banned node was given is told as revoked, by records that the search lets through", async () => {
  const office = await openOffice();
  const node = await office.node("east");
  await issued(node, await office.entry("/web"));
  const holdings = () => {
    const held = new HoldingsOf(node.id, office.clock.now());
    for (const { bytes, payload } of office.host.audit.records)
      if (mayMatch(bytes, { node: node.id, find: "" })) held.take(payload);
    return held.holdings().svids.map(({ entry, revoked }) => ({ entry: entry !== "", revoked }));
  };
  expect(holdings()).toEqual([{ entry: true, revoked: false }]);
  const [svid] = office.host.issuer.svids
    .list({ node: node.id }, { limit: 9, from: "", revoked: false })
    .svids.filter(({ entry }) => entry !== "");
  const target = { kind: "serial", serial: svid?.serial ?? "" } as const;
  await office.host.issuer.svids.revoke({ target, reason: "keyCompromise", by: operator });
  expect(holdings()).toEqual([{ entry: true, revoked: true }]);
});

test.for(["svids-issued", "node-enrolled", "svid-minted", "issuer-certified"] as const)(
  "MEC-12: a serial finds the record of its certificate: %s",
  (kind) => {
    const certificate = { kind, serial: "0a1b", tbsSha256: "0".repeat(64) };
    const action = kind === "svids-issued" ? { kind, svids: [certificate] } : certificate;
    const payload = { n: 7n, action: action as unknown as AuditAction };
    const record = { payload, digest: "" } as unknown as Parameters<typeof isMeant>[0];
    expect(isMeant(record, "0a1b")).toBe(true);
    expect(isMeant(record, "0a1c")).toBe(false);
  },
);
