import { describe, expect, test } from "vitest";
import type { GetNodeResponse, ListNodesRequest, Node } from "../../src/wire/herald/v1/nodes.ts";
import { fakeAdmin } from "./support/fake-admin.ts";
import { herald, noon } from "./support/run.ts";

const hour = 3_600_000;
const node: Node = {
  spiffeId: "spiffe://example.org/herald/node/join_token/a",
  labels: new Map([["r", "eu"]]),
  banned: false,
  enrolledAt: BigInt(noon - hour),
  expiresAt: BigInt(noon + hour),
  acknowledgedAt: BigInt(noon - 1000),
  consumers: 1,
  svids: 3,
  attestor: "join_token",
};
const detail: GetNodeResponse = {
  node,
  currentKey: "c1",
  nextKey: "",
  retiredKeys: ["c0"],
  consumers: [{ id: "envoy\u001b", kind: "sds", connected: true, refusal: "ROOTCA: bad" }],
  authorities: [{ subjectKeyId: "ab", svids: 3, until: BigInt(noon + hour) }],
  applied: new Map([["bundle.x", "1.2.3"]]),
};

describe("node list", () => {
  test("follows the pages, and asks for what was filtered", async () => {
    const asked: ListNodesRequest[] = [];
    using admin = await fakeAdmin({
      listNodes(request) {
        asked.push(request);
        return { nodes: [node], nextPageToken: request.pageToken === "" ? "more" : "" };
      },
    });
    const line = "node list --label r=eu --no-banned --attestor join_token --expiring-in 6h --json";
    const ran = await herald([...line.split(" "), "--admin", admin.address]);
    expect(ran.err).toBe("");
    expect((JSON.parse(ran.out) as { nodes: unknown[] }).nodes.length).toBe(2);
    expect(asked.map(({ pageToken }) => pageToken)).toEqual(["", "more"]);
    expect(asked[0]).toMatchObject({
      labels: new Map([["r", "eu"]]),
      banned: false,
      attestor: "join_token",
      expiringBefore: BigInt(noon + 6 * hour),
    });
  });

  test("says that no node fits, not that none has enrolled", async () => {
    using admin = await fakeAdmin({ listNodes: () => ({ nodes: [], nextPageToken: "" }) });
    const ran = await herald(["node", "list", "--banned", "--admin", admin.address]);
    expect(ran.out).toBe("no node fits\n");
  });
});

describe("one node", () => {
  test("show tells keys, labels, consumers and what was applied; nothing of it moves the terminal", async () => {
    using admin = await fakeAdmin({ getNode: () => detail });
    const ran = await herald(["node", "show", "a", "--admin", admin.address]);
    expect(ran.out).toBe(`node          spiffe://example.org/herald/node/join_token/a
attestor      join_token
state         live
labels        r=eu
enrolled      1h ago (2026-11-22T11:00:00Z)
SVID ends     in 1h (2026-11-22T13:00:00Z)
key           c1
retired keys  1
acknowledged  1s ago (2026-11-22T11:59:59Z)
SVIDs of      ab: 3, the last ends in 1h (2026-11-22T13:00:00Z)
consumer      envoy? (sds, connected) refused ROOTCA: bad
applied       bundle.x 1.2.3
`);
  });

  test("label sets and removes", async () => {
    const asked: unknown[] = [];
    using admin = await fakeAdmin({
      labelNode(request) {
        asked.push(request);
        return { node };
      },
    });
    const ran = await herald([
      "node",
      "label",
      "a",
      "r=eu",
      "b=c=d",
      "x-",
      "--admin",
      admin.address,
    ]);
    expect(asked).toEqual([
      {
        id: "a",
        set: new Map([
          ["r", "eu"],
          ["b", "c=d"],
        ]),
        remove: ["x"],
      },
    ]);
    expect(ran.out).toBe(`${node.spiffeId}  r=eu\n`);
  });

  test.for(["plain", "=v", "-"])("label %s is a usage error", async (change) => {
    const ran = await herald(["node", "label", "a", "--", change]);
    expect(ran.code).toBe(2);
    expect(ran.err).toMatch(/name=value/);
  });

  test("ban and evict say whom", async () => {
    using admin = await fakeAdmin({
      banNode: () => ({ node: { ...node, banned: true } }),
      evictNode: () => ({ node }),
    });
    const env = { HERALD_ADMIN: admin.address };
    const revoked = `What it holds is revoked: \`herald svid list --revoked --node ${node.spiffeId}\`.\n`;
    for (const [verb, done] of [
      ["ban", "banned"],
      ["evict", "evicted"],
    ] as const) {
      const { out } = await herald(["node", verb, "a"], { env });
      expect(out).toBe(`${done}  ${node.spiffeId}\n${revoked}`);
    }
    const json = JSON.parse((await herald(["node", "ban", "a", "--json"], { env })).out) as unknown;
    expect(json).toMatchObject({ banned: { spiffeId: node.spiffeId, banned: true } });
  });
});
