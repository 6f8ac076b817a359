import { describe, expect, test } from "vitest";
import { sealEnvelope } from "../../src/core/envelope/envelope.ts";
import type { Ack, NodeRecordState } from "../../src/core/envelope/payloads.ts";
import { nodeSigner } from "../../src/core/envelope/signers.ts";
import { admit } from "../../src/issuer/requests.ts";
import { type Asker, signItem, verdictOf } from "../support/simulation-asker.ts";
import { keyPair } from "../support/simulation-keys.ts";
import { type Office, openOffice } from "./support/office.ts";

/** What became of it; silence has the code of the error that only the issuer's log sees. */
async function verdict(answer: Promise<Parameters<typeof verdictOf>[0]>): Promise<string> {
  try {
    return verdictOf(await answer);
  } catch (thrown) {
    return `silence (${thrown instanceof Error && "code" in thrown ? String(thrown.code) : String(thrown)})`;
  }
}

async function fleet(): Promise<Office & { readonly east: Asker; readonly west: Asker }> {
  const office = await openOffice();
  const [east, west] = [await office.node("east"), await office.node("west")];
  return { ...office, east, west };
}

describe("whoever speaks on the bus", () => {
  test("TM-B-06: a node that nobody enrolled is unknown", async () => {
    const { stranger, entry } = await fleet();
    const nobody = stranger("north");
    const bytes = await nobody.signRequest([await signItem(await entry("/web"))]);
    expect(await verdict(nobody.send("sign-request", bytes))).toBe("NODE_UNKNOWN");
  });

  test("TM-B-06: on an enrolled node's subject, a key that is not its own is met with silence", async () => {
    const { stranger, entry } = await fleet();
    const thief = stranger("east");
    const bytes = await thief.signRequest([await signItem(await entry("/web"))]);
    expect(await verdict(thief.send("sign-request", bytes))).toBe("silence (ENVELOPE_SIGNATURE)");
  });

  test("MEC-02: a node on another's subject, in its own name or the other's, gets nothing", async () => {
    const { east, west, entry } = await fleet();
    const items = [await signItem(await entry("/web"))];
    const own = await east.signRequest(items);
    expect(await verdict(east.send("sign-request", own, west.id))).toBe(
      "silence (ENVELOPE_SIGNATURE)",
    );
    const others = await east.signRequest(items, { payload: { node: west.id } });
    expect(await verdict(east.send("sign-request", others, west.id))).toBe(
      "silence (ENVELOPE_SIGNATURE)",
    );
    expect(await verdict(east.send("sign-request", others))).toBe("NODE_UNKNOWN");
  });

  test("MEC-02: a request to another trust domain is refused", async () => {
    const { east, entry } = await fleet();
    const bytes = await east.signRequest([await signItem(await entry("/web"))], {
      payload: { td: "example.com" },
    });
    expect(await verdict(east.send("sign-request", bytes))).toBe("NODE_UNKNOWN");
  });

  test("TM-B-08: a request of one kind is none of another", async () => {
    const { east } = await fleet();
    const ack = await east.ackRequest({});
    for (const kind of ["sign-request", "renew-request", "state-request"] as const)
      expect(await verdict(east.send(kind, ack))).toBe("silence (ENVELOPE_KIND)");
  });

  test("TM-B-01: a request with any byte changed is no request of that node", async () => {
    const { east, host, entry } = await fleet();
    const bytes = await east.signRequest([await signItem(await entry("/web"))]);
    const before = host.audit.records.length;
    for (let at = 0; at < bytes.byteLength; at += 7) {
      const bent = new Uint8Array(bytes);
      bent[at] = (bent[at] ?? 0) ^ 1;
      expect(await verdict(east.send("sign-request", bent))).toMatch(/^silence/);
    }
    expect(host.audit.records.length).toBe(before);
  });

  test("TM-N-06: of an oversized request nothing is signed", async () => {
    const { east } = await fleet();
    const selectors = Array.from({ length: 250 }, () => `unix:path:${"x".repeat(1000)}`);
    const csr = (await signItem({ id: "e", revision: 1n })).csr;
    const purpose = { kind: "caller", selectors, pid: 1 };
    const bytes = await east.signRequest([], {
      payload: { items: [{ entry: "e", revision: 1n, purpose, csr }] },
    });
    expect(bytes.byteLength).toBeGreaterThan(256 * 1024);
    expect(await verdict(east.send("sign-request", bytes))).toMatch(/CSR_INVALID/);
    expect(await verdict(east.send("sign-request", Buffer.alloc(300_000, "{")))).toMatch(
      /^silence/,
    );
  });

  test("TM-N-06: more CSRs than a batch holds are refused as a whole", async () => {
    const { east, entry } = await fleet();
    const item = await signItem(await entry("/web"));
    const bytes = await east.signRequest(Array.from({ length: 51 }, () => item));
    expect(await verdict(east.send("sign-request", bytes))).toBe("silence (PAYLOAD_SHAPE)");
  });

  test("MEC-07: an issuer that is told of a newer head than its own does not sign", async () => {
    const { east, entry, host } = await fleet();
    const bytes = await east.signRequest([await signItem(await entry("/web"))], {
      payload: { highest: { epoch: 1n, term: 99n, n: 1n } },
    });
    expect(await verdict(east.send("sign-request", bytes))).toBe("ISSUER_BEHIND");
    expect(host.counted("herald_issuer_behind_total")).toBe(1);
  });
});

describe("admission by the record", () => {
  const pair = keyPair();
  const signer = nodeSigner(pair.privateKey);

  async function admitted(record: Partial<NodeRecordState>): Promise<string> {
    const { domain, clock, stranger } = await openOffice();
    const { id } = stranger("east");
    const stamp = { td: domain.trustDomain, at: clock.now() };
    const body = {
      boot: "b",
      counter: 1,
      highest: null,
      applied: {},
      consumers: [],
      authorities: [],
    };
    const ack: Ack = { ...stamp, id: "request", node: id, ...body };
    const { bytes } = await sealEnvelope("ack", ack, signer);
    const key = { keyId: signer.keyId, spki: Buffer.from(pair.spki).toString("base64") };
    const known: NodeRecordState = {
      ...stamp,
      key: "record.east",
      version: { epoch: 1n, term: 1n, seq: 1n },
      node: id,
      current: key,
      next: null,
      retired: [],
      labels: {},
      banned: false,
      enrolledAt: 0,
      expiresAt: 0,
      ...record,
    };
    try {
      const { byNextKey } = admit("ack", bytes, {
        record: known,
        trustDomain: domain.trustDomain,
        clock,
      });
      return byNextKey ? "by next key" : "by current key";
    } catch (thrown) {
      return thrown instanceof Error && "code" in thrown ? String(thrown.code) : String(thrown);
    }
  }

  const own = { keyId: signer.keyId, spki: Buffer.from(pair.spki).toString("base64") };
  const otherPair = keyPair();
  const other = {
    keyId: nodeSigner(otherPair.privateKey).keyId,
    spki: Buffer.from(otherPair.spki).toString("base64"),
  };

  test.for<readonly [string, Partial<NodeRecordState>, string]>([
    ["TM-B-06: its current key", {}, "by current key"],
    ["ENR-04: its next key", { current: other, next: own }, "by next key"],
    ["ENR-04: a retired key", { current: other, retired: [own.keyId] }, "KEY_RETIRED"],
    ["ENR-04: a retired key that came back as current", { retired: [own.keyId] }, "KEY_RETIRED"],
    ["TM-N-04: a banned node", { banned: true }, "NODE_BANNED"],
    ["TM-B-06: another key", { current: other }, "ENVELOPE_SIGNATURE"],
    [
      "TM-B-06: its name for another's key",
      { current: { ...other, keyId: own.keyId } },
      "ENVELOPE_SIGNATURE",
    ],
  ])("%s", async ([, record, outcome]) => {
    expect(await admitted(record)).toBe(outcome);
  });
});
