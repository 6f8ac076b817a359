import { describe, expect, test } from "vitest";
import { parseSpiffeId } from "../../src/core/spiffe/spiffe-id.ts";
import {
  bundleGate,
  type GateFacts,
  lostNodes,
  reissueGate,
} from "../../src/issuer/authorities/gate.ts";
import {
  ack,
  bundle,
  consumer,
  facts,
  hourMs,
  type node,
  now,
  old,
  oldAuthority,
  record,
} from "./support/gate-facts.ts";

describe("nodes that vanish (GATE-06)", () => {
  const ids = ["east", "west", "north", "south"].map((name) =>
    parseSpiffeId(`spiffe://example.org/herald/node/join_token/${name}`),
  );
  const [east, west, north] = ids as [typeof node, typeof node, typeof node];

  /** A fleet of four of which some have been silent for a quarter of an hour, without the bundle. */
  function fleet(silent: readonly string[], bend: Partial<GateFacts> = {}): GateFacts {
    return {
      ...facts({}),
      records: ids.map((id) => ({ ...record, node: id, enrolledAt: now - hourMs })),
      ackOf: (id) =>
        silent.includes(id) ? { ...ack, node: id, at: now - 900_000, applied: {} } : ack,
      ...bend,
    };
  }

  test("after lostAfter they are passed and named where no trust is taken away", () => {
    expect(bundleGate(fleet([east]), bundle)).toEqual({
      waiting: [],
      passed: [{ node: east, why: "lost" }],
    });
    const soon = fleet([east], { lostAfterMs: 900_001 });
    expect(bundleGate(soon, bundle)).toMatchObject({ waiting: [{ node: east }], passed: [] });
  });

  test("an SVID that may still live is not cut off: there they are waited for, and named as lost", () => {
    const gate = reissueGate(fleet([east, west]), bundle, old);
    expect(gate.passed).toEqual([]);
    expect(gate.waiting).toMatchObject([
      { node: east, lost: true },
      { node: west, lost: true },
    ]);
  });

  test("when more than half are silent it is the way to them that is lost, and nobody is passed", () => {
    expect(lostNodes(fleet([east, west])).size).toBe(2);
    expect(lostNodes(fleet([east, west, north])).size).toBe(0);
    expect(bundleGate(fleet([east, west, north]), bundle).waiting.length).toBe(3);
  });

  test("silence counts from when somebody could listen again", () => {
    expect(lostNodes(fleet([east], { heardSince: now - 899_999 })).size).toBe(0);
    expect(lostNodes(fleet([east], { heardSince: now - 900_000 })).size).toBe(1);
  });

  test("one that an operator passes by is passed by in every gate, with its consumers and its refusals", () => {
    const past = new Set([east]);
    const consumers = [{ ...consumer, refusal: { name: "ROOTCA", reason: "bad" } }];
    const use = [{ authority: oldAuthority, svids: 1, until: now + 10 }];
    const refusing = fleet([], {
      past,
      ackOf: (id) => (id === east ? { ...ack, consumers, authorities: use } : ack),
    });
    const passed = [{ node: east, why: "by hand" }];
    expect(bundleGate(refusing, bundle)).toEqual({ waiting: [], passed });
    expect(reissueGate(refusing, bundle, old)).toEqual({ waiting: [], passed });
  });
});
