import { describe, expect, test } from "vitest";
import type { Ack, ConsumerReport } from "../../src/core/envelope/payloads.ts";
import { parseSpiffeId } from "../../src/core/spiffe/spiffe-id.ts";
import { type GateFacts, liveNodes } from "../../src/issuer/authorities/gate.ts";
import {
  ack,
  bundle,
  consumer,
  facts,
  hourMs,
  node,
  now,
  oldAuthority,
  record,
  sequence,
  trustDomain,
  waitingForBundle,
  waitingForReissue,
} from "./support/gate-facts.ts";

const behind = {
  sent: { [trustDomain]: sequence },
  acknowledged: { [trustDomain]: sequence - 1n },
};

describe("the gate before an authority signs: has everybody its root?", () => {
  test.for<readonly [string, Partial<Ack>, string]>([
    ["a node that applied it", {}, ""],
    [
      "a node that applied a newer one",
      { applied: { [bundle.key]: { epoch: 1n, term: 3n, seq: 51n } } },
      "",
    ],
    [
      "a node that applied one of a later term",
      { applied: { [bundle.key]: { epoch: 1n, term: 4n, seq: 1n } } },
      "",
    ],
    [
      "a node with an older one",
      { applied: { [bundle.key]: { epoch: 1n, term: 3n, seq: 49n } } },
      "has not acknowledged the bundle",
    ],
    [
      "a node with a higher seq of an earlier term",
      { applied: { [bundle.key]: { epoch: 1n, term: 2n, seq: 99n } } },
      "has not acknowledged the bundle",
    ],
    ["a node with none", { applied: {} }, "has not acknowledged the bundle"],
  ])("GATE-01: %s", ([, told, reason]) => {
    const waiting = waitingForBundle(facts({ ack: told }));
    expect(waiting.map((one) => one.reason).join()).toBe(reason);
  });

  test("GATE-01: a node that never told is waited for, by name", () => {
    expect(waitingForBundle(facts({ ack: "none" }))).toEqual([
      {
        node,
        consumer: "",
        reason: "has not acknowledged the bundle",
        blocks: false,
        lost: false,
        until: record.expiresAt,
        svids: 0,
      },
    ]);
  });

  test.for<readonly [string, Partial<ConsumerReport>, "open" | "waits" | "blocked"]>([
    ["acknowledged it", {}, "open"],
    ["acknowledged a newer one", { acknowledged: { [trustDomain]: sequence + 1n } }, "open"],
    ["acknowledged the one before", behind, "waits"],
    ["acknowledged nothing", { acknowledged: {} }, "waits"],
    ["was given SVIDs alone, and no bundle", { sent: {}, acknowledged: {} }, "open"],
    ["refused it (NACK)", { refusal: { name: "ROOTCA", reason: "bad" } }, "blocked"],
    [
      "refused it and lags behind",
      { ...behind, refusal: { name: "ROOTCA", reason: "bad" } },
      "blocked",
    ],
    [
      "is away, and what it holds lives",
      { ...behind, connected: false, heldUntil: now + 1 },
      "waits",
    ],
    [
      "is away, and what it held has ended",
      { ...behind, connected: false, heldUntil: now },
      "open",
    ],
    ["is away and had acknowledged it", { connected: false, heldUntil: now + 1 }, "open"],
    ["is connected, and its identity is over", { ...behind, heldUntil: now }, "open"],
    ["is connected and was given trust alone", { ...behind, heldUntil: 0 }, "waits"],
    ["is away and held nothing that ends", { ...behind, connected: false, heldUntil: 0 }, "open"],
    [
      "refused it, and its identity is over",
      { heldUntil: now, refusal: { name: "ROOTCA", reason: "bad" } },
      "open",
    ],
    [
      "cannot acknowledge and was flushed just now",
      { kind: "workload-api", flushedAt: now },
      "waits",
    ],
    [
      "cannot acknowledge and was flushed 9,999 ms ago",
      { kind: "workload-api", flushedAt: now - 9999 },
      "waits",
    ],
    [
      "cannot acknowledge and was flushed 10 s ago",
      { kind: "workload-api", flushedAt: now - 10_000 },
      "open",
    ],
    [
      "cannot acknowledge and was never flushed the new one",
      { ...behind, kind: "workload-api" },
      "waits",
    ],
  ])("GATE-02: a consumer that %s", ([, told, outcome]) => {
    const consumers = [{ ...consumer, ...told }];
    const waiting = waitingForBundle(facts({ ack: { consumers } }));
    const seen = waiting.length === 0 ? "open" : waiting[0]?.blocks === true ? "blocked" : "waits";
    expect(seen).toBe(outcome);
    if (outcome !== "open") expect(waiting[0]?.consumer).toBe("sds-1-1");
  });

  test("GATE-02: a refusal is named with what was refused", () => {
    const consumers = [{ ...consumer, refusal: { name: "ROOTCA", reason: "empty" } }];
    const [waiting] = waitingForBundle(facts({ ack: { consumers } }));
    expect(waiting?.reason).toBe("refused ROOTCA: empty");
  });
});

describe("what a node claims beyond what any SVID lives (TM-N-06)", () => {
  const forEver = now + 1000 * hourMs;
  const claims = { at: now - hourMs, authorities: [{ authority: "bb", svids: 1, until: forEver }] };

  test("GATE-05: it does not live by it", () => {
    expect(liveNodes(facts({ record: { expiresAt: now }, ack: claims }))).toEqual([]);
    const fresh = { ...claims, at: now - hourMs + 1 };
    expect(liveNodes(facts({ record: { expiresAt: now }, ack: fresh })).length).toBe(1);
  });

  test("GATE-05: its consumers are not waited for by it", () => {
    const consumers = [{ ...consumer, ...behind, connected: false, heldUntil: forEver }];
    expect(waitingForBundle(facts({ ack: { at: now - hourMs, consumers } }))).toEqual([]);
    expect(waitingForBundle(facts({ ack: { at: now, consumers } })).length).toBe(1);
  });

  test("GATE-05: nor does the old authority", () => {
    const held = {
      ...claims,
      authorities: [{ authority: oldAuthority, svids: 1, until: forEver }],
    };
    expect(waitingForReissue(facts({ ack: held }))).toEqual([]);
  });

  test("GATE-05: nor what no SVID of that authority can live to, however often it is claimed anew", () => {
    const claim = { authorities: [{ authority: oldAuthority, svids: 1, until: forEver }] };
    expect(waitingForReissue(facts({ ack: claim }), { lastEnd: now })).toEqual([]);
    expect(waitingForReissue(facts({ ack: claim }), { lastEnd: now + 5 })).toMatchObject([
      { until: now + 5 },
    ]);
  });

  test("GATE-05: one that claims to hold nothing binds itself alone", () => {
    const [liar, other] = [node, parseSpiffeId("spiffe://example.org/herald/node/join_token/west")];
    const use = [{ authority: oldAuthority, svids: 1, until: now + 10 }];
    const both: GateFacts = {
      ...facts({}),
      records: [record, { ...record, node: other }],
      ackOf: (of) => ({ ...ack, node: of, authorities: of === liar ? [] : use }),
    };
    expect(waitingForReissue(both).map((one) => one.node)).toEqual([other]);
  });
});

describe("live nodes", () => {
  test.for<readonly [string, Parameters<typeof facts>[0], boolean]>([
    ["its SVID lives", {}, true],
    ["its SVID has ended", { record: { expiresAt: now } }, false],
    [
      "its SVID has ended and a workload's lives",
      {
        record: { expiresAt: now },
        ack: { authorities: [{ authority: "bb", svids: 1, until: now + 1 }] },
      },
      true,
    ],
    [
      "all of its SVIDs have ended",
      {
        record: { expiresAt: now },
        ack: { authorities: [{ authority: "bb", svids: 1, until: now }] },
      },
      false,
    ],
    ["it is banned", { record: { banned: true } }, false],
    ["it has told nothing yet", { ack: "none" }, true],
    [
      "its SVID has ended, and one that was signed for a workload there lives",
      { ack: "none", record: { expiresAt: now }, issuedUntil: now + 1 },
      true,
    ],
  ])("GATE-03: counts while %s: %#", ([, of, counts]) => {
    expect(liveNodes(facts(of)).length).toBe(counts ? 1 : 0);
    expect(
      waitingForBundle(
        facts({ ...of, ack: of.ack === "none" ? "none" : { ...of.ack, applied: {} } }),
      ).length,
    ).toBe(counts ? 1 : 0);
  });
});

describe("the gate before a rotation is done: is any SVID of the old authority left? (INV-6)", () => {
  const use = (authority: string, until: number) => ({
    authorities: [{ authority, svids: 3, until }],
  });
  test.for<readonly [string, Parameters<typeof facts>[0], string]>([
    ["none is left", { ack: use("bb", now + 1) }, ""],
    ["some live", { ack: use(oldAuthority, now + 1) }, "3 live SVID(s) of the old authority"],
    ["the last has just ended", { ack: use(oldAuthority, now) }, ""],
    [
      "the node has told nothing",
      { ack: "none" },
      "has not told which authorities its SVIDs chain to",
    ],
    ["the node is dead and told nothing", { ack: "none", record: { expiresAt: now } }, ""],
  ])("GATE-04: %s", ([, of, reason]) => {
    expect(
      waitingForReissue(facts(of))
        .map((one) => one.reason)
        .join(),
    ).toBe(reason);
  });

  test("GATE-04: what a node said before it knew that another one signs does not count", () => {
    const early = { applied: { [bundle.key]: bundle.above }, authorities: [] };
    expect(waitingForReissue(facts({ ack: early }))).toMatchObject([{ node, svids: 1 }]);
  });

  test("GATE-04: of a node that said nothing since, every SVID that it may hold is waited for, and named with its end", () => {
    const early = {
      applied: {},
      authorities: [{ authority: oldAuthority, svids: 7, until: now + 2000 }],
    };
    expect(waitingForReissue(facts({ ack: early }))).toMatchObject([
      { svids: 7, until: now + 2000 },
    ]);
    expect(waitingForReissue(facts({ ack: early, issuedUntil: now + 3000 }))).toMatchObject([
      { until: now + 3000 },
    ]);
    const over = facts({ ack: early, issuedUntil: now + 3000 });
    expect(waitingForReissue(over, { lastEnd: now })).toEqual([]);
  });

  test("GATE-04: an SVID that an operator was handed counts, though no node tells of it", () => {
    const minted = waitingForReissue(facts({ ack: {} }), { mintedUntil: now + 1 });
    expect(minted).toMatchObject([{ node: "", until: now + 1 }]);
    expect(waitingForReissue(facts({ ack: {} }), { mintedUntil: now })).toEqual([]);
  });
});
