import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { ApplyEntriesRequest } from "../../src/wire/herald/v1/entries.ts";
import { applying, specsOf } from "./support/applying.ts";
import { herald, temporaryFolder } from "./support/run.ts";

describe("entry import", () => {
  const file = "test/vectors/spire-entries.json";
  const maps = [
    "--map",
    "spiffe://example.org/k8s/demo=label:cluster=demo,zone=a",
    "--map",
    "spiffe://example.org/spire/agent/join_token/6a1f=node:spiffe://example.org/herald/node/join_token/db",
    "--map",
    "spiffe://example.org/spire/agent/x509pop/0f3c=all",
  ];

  test("names what it cannot take over, and takes over nothing then", async () => {
    const ran = await herald(["entry", "import", file, ...maps, "--to-file", "-"]);
    expect([ran.code, ran.out]).toEqual([2, ""]);
    for (const told of [
      "node alias spiffe://example.org/k8s/demo",
      "0004 spiffe://example.org/nested: downstream",
      "0005 spiffe://example.org/lambda: store_svid",
      "0006 spiffe://example.org/batch: selector: unix:path:/usr/bin/batch alone",
      "0007 spiffe://example.org/lost: parent spiffe://example.org/spire/agent/x509pop/dead",
      "4 entries of test/vectors/spire-entries.json cannot be taken over",
    ])
      expect(ran.err).toContain(told);
  });

  test("writes a file that apply reads, without what is to be skipped", async () => {
    using folder = temporaryFolder();
    const path = join(folder.path, "out.yaml");
    const ran = await herald([
      "entry",
      "import",
      file,
      ...maps,
      "--skip-unsupported",
      "--to-file",
      path,
    ]);
    expect(ran.code).toBe(0);
    expect(ran.err).toContain("4 of 6 entries are left out");
    expect(readFileSync(path, "utf8")).toBe(`- name: spire/00000000-0000-4000-8000-000000000002
  spiffeId: spiffe://example.org/ns/shop/sa/web
  nodes:
    labels:
      cluster: demo
      zone: a
  selectors:
    - k8s:ns:shop
    - k8s:sa:web
  x509Ttl: 600
  jwtTtl: 60
  dnsNames:
    - web.shop.svc
  federatesWith:
    - partner.example
  hint: web
  expiresAt: 2030-03-17T17:46:40.000Z
- name: spire/00000000-0000-4000-8000-000000000003
  spiffeId: spiffe://example.org/db
  nodes:
    ids:
      - spiffe://example.org/herald/node/join_token/db
  selectors:
    - unix:uid:70
    - unix:gid:70
  admin: true
`);
  });

  test("applies them as a set of their own; a rule that is allowed lets one more in", async () => {
    const sent: ApplyEntriesRequest[] = [];
    using admin = await applying(sent);
    const line = ["entry", "import", file, ...maps, "--skip-unsupported", "--allow", "TM-W-03"];
    const ran = await herald([...line, "--admin", admin.address]);
    expect(ran.code).toBe(0);
    expect(sent[0]?.declaration).toMatchObject({
      set: "spire",
      prune: false,
      dryRun: false,
      allow: ["TM-W-03"],
    });
    expect(
      specsOf(sent).map(({ spiffeId }) => spiffeId.replace("spiffe://example.org", "")),
    ).toEqual(["/ns/shop/sa/web", "/db", "/batch"]);
  });

  test.for([
    "parent",
    "spiffe://a/b=label:",
    "spiffe://a/b=label:x",
    "spiffe://a/b=some",
    "spiffe://a/b=all:x",
  ])("--map %s is no map", async (map) => {
    const ran = await herald(["entry", "import", file, "--map", map, "--to-file", "-"]);
    expect([ran.code, ran.out]).toEqual([2, ""]);
    expect(ran.err).toContain("--map");
  });

  test("what is not SPIRE's JSON is refused", async () => {
    const ran = await herald(["entry", "import", "package.json", "--to-file", "-"]);
    expect([ran.code, ran.out]).toEqual([2, ""]);
    expect(ran.err).toContain("spire-server entry show -output json");
  });
});
