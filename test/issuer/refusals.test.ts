import { describe, expect, test } from "vitest";
import type { AuditAction } from "../../src/core/envelope/audit-payloads.ts";
import { type Office, openOffice } from "./support/office.ts";

const windowMs = 60_000;

type Told = Extract<AuditAction, { readonly kind: "request-refused" }>;

function told(office: Office): readonly Told[] {
  return office.host.audit.records.flatMap(({ payload: { action } }) =>
    action.kind === "request-refused" ? [action] : [],
  );
}

describe("refused requests in the audit chain", () => {
  test("TM-N-06: a hundred of one kind are one line with their count", async () => {
    const office = await openOffice();
    const node = await office.node("east");
    await office.host.issuer.nodes.records.ban(node.id);
    for (let at = 0; at < 100; at += 1) await node.send("ack", await node.ackRequest({}));
    await office.clock.advance(windowMs);
    expect(told(office)).toEqual([
      {
        kind: "request-refused",
        since: office.clock.now() - windowMs,
        refused: [{ node: node.id, code: "NODE_BANNED", reason: "the node is banned", count: 100 }],
        others: 0,
      },
    ]);
  });

  test("TM-N-06: however many are refused, there is one record a window, of bounded length", async () => {
    const office = await openOffice();
    const nodes = [];
    for (let at = 0; at < 70; at += 1) nodes.push(await office.node(`n${at}`));
    for (const { id } of nodes) await office.host.issuer.nodes.records.ban(id);
    for (const node of nodes) await node.send("ack", await node.ackRequest({}));
    await office.clock.advance(windowMs);
    expect(told(office).map(({ refused, others }) => [refused.length, others])).toEqual([[64, 6]]);
  });

  test("enrolments that fail are recorded, and rubbish too, under no node's name", async () => {
    const office = await openOffice();
    const joinString = await office.token("east");
    await office.stranger("east").enrol(joinString);
    await office.stranger("east").enrol(joinString);
    const { reception } = office.host.issuer;
    await reception.enrol(Buffer.from("{}")).catch(() => undefined);
    await office.clock.advance(windowMs);
    expect(told(office)[0]?.refused.map(({ node, code, count }) => [node, code, count])).toEqual([
      ["", "TOKEN_USED", 1],
      ["", "ENVELOPE_MALFORMED", 1],
    ]);
  });

  test("without a refusal nothing is recorded, and what the issuer could not do is none", async () => {
    const office = await openOffice();
    const joinString = await office.token("east");
    office.host.audit.up = false;
    await office
      .stranger("east")
      .enrol(joinString)
      .catch(() => undefined);
    office.host.audit.up = true;
    await office.clock.advance(3 * windowMs);
    expect(told(office)).toEqual([]);
  });
});
