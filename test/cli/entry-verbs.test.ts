import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { status } from "@grpc/grpc-js";
import { describe, expect, test } from "vitest";
import {
  type ApplyEntriesRequest,
  Entry,
  type ListEntriesRequest,
  type UpdateEntryRequest,
} from "../../src/wire/herald/v1/entries.ts";
import { applying, specsOf } from "./support/applying.ts";
import { fakeAdmin, refusal } from "./support/fake-admin.ts";
import { herald, noon, temporaryFolder } from "./support/run.ts";

const blank = new Uint8Array();
const entry: Entry = {
  ...Entry.decode(blank),
  id: "e1",
  revision: "7",
  spiffeId: "spiffe://example.org/web",
  nodes: { ids: [], labels: new Map([["role", "web"]]) },
  selectors: ["unix:uid:1000"],
  x509TtlSeconds: 3600,
  jwtTtlSeconds: 300,
  dnsNames: ["web.internal"],
  hint: "old",
  createdAt: BigInt(noon),
};

describe("entry update", () => {
  const updated = async (...args: readonly string[]) => {
    const asked: UpdateEntryRequest[] = [];
    using admin = await fakeAdmin({
      getEntry: () => ({ entry }),
      updateEntry(request) {
        asked.push(request);
        return { entry, warnings: [] };
      },
    });
    const line = ["entry", "update", "e1", "--revision", "7", ...args];
    const ran = await herald([...line, "--admin", admin.address]);
    return { ran, asked };
  };

  test("sends the entry with what was named, and nothing else changed", async () => {
    const { ran, asked } = await updated(
      "--ttl",
      "10m",
      "--clear",
      "hint",
      "--is-admin",
      "--on-demand",
    );
    expect(ran.err).toBe("");
    expect(asked).toMatchObject([
      {
        id: "e1",
        revision: "7",
        entry: {
          spiffeId: entry.spiffeId,
          nodes: entry.nodes,
          selectors: entry.selectors,
          dnsNames: entry.dnsNames,
          x509TtlSeconds: 600,
          hint: "",
          admin: true,
          onDemand: true,
        },
      },
    ]);
    expect(Object.keys(asked[0]?.entry ?? {})).not.toContain("revision");
  });

  test("moves to all nodes when it is said, and ends when it is said", async () => {
    const { asked } = await updated("--all-nodes", "--expires-at", "1h");
    expect(asked[0]?.entry?.nodes).toEqual({ ids: [], labels: new Map() });
    expect(asked[0]?.entry?.expiresAt).toBe(BigInt(noon + 3_600_000));
  });

  test("a conflict ends with 1 and tells the other revision", async () => {
    const told =
      "ENTRY_CONFLICT: entry e1 is at revision 9, not 7: somebody changed it; say --revision 9";
    using admin = await fakeAdmin({
      getEntry: () => ({ entry }),
      updateEntry() {
        throw refusal(status.ABORTED, told);
      },
    });
    const ran = await herald([
      "entry",
      "update",
      "e1",
      "--revision",
      "7",
      "--hint",
      "x",
      "--json",
      "--admin",
      admin.address,
    ]);
    expect(ran.code).toBe(1);
    expect(JSON.parse(ran.err)).toMatchObject({
      error: { code: "ENTRY_CONFLICT", cure: "say --revision 9" },
    });
  });
});

test("entry list follows the pages, and with a limit tells where to go on", async () => {
  const asked: ListEntriesRequest[] = [];
  using admin = await fakeAdmin({
    listEntries(request) {
      asked.push(request);
      return { entries: [entry], nextPageToken: request.pageToken === "" ? "t1" : "" };
    },
  });
  const env = { HERALD_ADMIN: admin.address };
  const all = await herald(["entry", "list", "--hint", "old", "--is-admin", "--json"], { env });
  expect(JSON.parse(all.out)).toMatchObject({ entries: [{ id: "e1" }, { id: "e1" }] });
  expect(asked).toMatchObject([
    { hint: "old", admin: true, limit: 1000, pageToken: "" },
    { hint: "old", admin: true, limit: 1000, pageToken: "t1" },
  ]);
  const some = await herald(["entry", "list", "--limit", "1"], { env });
  expect(some.out).toContain("--page-token t1\n");
  expect(asked.at(-1)).toMatchObject({ limit: 1 });
});

function fileOf(folder: string, content: string): string {
  const path = join(folder, "entries.yaml");
  writeFileSync(path, content);
  return path;
}

describe("entry apply", () => {
  test("sends what a file declares in messages of a hundred, and shows what changes; --exit-code tells it", async () => {
    using folder = temporaryFolder();
    const sent: ApplyEntriesRequest[] = [];
    using admin = await applying(sent);
    const items = Array.from({ length: 250 }, (_, at) => ({
      spiffeId: `spiffe://example.org/w${at}`,
      selectors: ["unix:uid:1"],
    }));
    const file = fileOf(folder.path, JSON.stringify({ entries: items }));
    const line = ["entry", "apply", "-f", file, "--set", "shop", "--dry-run", "--allow", "TM-W-03"];
    const ran = await herald([...line, "--exit-code", "--admin", admin.address]);
    expect(ran).toEqual({
      code: 3,
      err: "",
      out: `+ a  spiffe://example.org/a
~ b  spiffe://example.org/b  hint
! c  spiffe://example.org/c
shop: 1 would be created, 1 would be updated, 0 would be deleted, 2 unchanged; 1 of the set are not in the file, --prune deletes them
`,
    });
    expect(sent[0]?.declaration).toEqual({
      set: "shop",
      prune: false,
      dryRun: true,
      allow: ["TM-W-03"],
    });
    expect(sent.map(({ entries }) => entries.length)).toEqual([0, 100, 100, 50]);
    expect((await herald([...line, "--admin", admin.address])).code).toBe(0);
  });

  test("reads YAML with every field", async () => {
    using folder = temporaryFolder();
    const sent: ApplyEntriesRequest[] = [];
    using admin = await applying(sent);
    const file = fileOf(
      folder.path,
      `- name: web
  spiffeId: spiffe://example.org/{unix.user}
  nodes: { labels: { role: web } }
  selectors: [unix:gid:5]
  x509Ttl: 30m
  jwtTtl: 60
  dnsNames: [web.internal]
  federatesWith: [partner.example]
  hint: main
  admin: true
  priority: 3
  allowedPeers: [spiffe://example.org/db/*]
  expiresAt: 2027-01-31T12:00:00Z
  keepWarm: false
- spiffeId: spiffe://example.org/db
  nodes: { ids: [spiffe://example.org/herald/node/join_token/n1] }
  selectors: [unix:uid:70]
`,
    );
    const ran = await herald(["entry", "apply", "-f", file, "--admin", admin.address]);
    expect(ran.err).toBe("");
    expect(specsOf(sent)).toEqual([
      {
        name: "web",
        spiffeId: "spiffe://example.org/{unix.user}",
        nodes: { ids: [], labels: new Map([["role", "web"]]) },
        selectors: ["unix:gid:5"],
        x509TtlSeconds: 1800,
        jwtTtlSeconds: 60,
        dnsNames: ["web.internal"],
        federatesWith: ["partner.example"],
        hint: "main",
        admin: true,
        priority: 3,
        allowedPeers: ["spiffe://example.org/db/*"],
        expiresAt: BigInt(Date.UTC(2027, 0, 31, 12)),
        onDemand: true,
      },
      expect.objectContaining({
        nodes: { ids: ["spiffe://example.org/herald/node/join_token/n1"], labels: new Map() },
        x509TtlSeconds: 0,
        expiresAt: 0n,
        onDemand: false,
      }),
    ]);
  });

  test.for([
    [
      "a field that there is not",
      "- { spiffeId: spiffe://a/b, selectors: [a:b], ttl: 3 }",
      /entry 1 \(spiffe:\/\/a\/b\): .*ttl/,
    ],
    [
      "no selectors",
      "- { name: n, spiffeId: spiffe://a/b, selectors: [] }",
      /entry 1 \(n\): selectors/,
    ],
    [
      "a duration that is none",
      "- { spiffeId: spiffe://a/b, selectors: [a:b], x509Ttl: soon }",
      /x509Ttl: write whole seconds/,
    ],
    ["no list", "spiffeId: spiffe://a/b", /no list of entries/],
    ["no YAML", "- [", /neither YAML nor JSON/],
  ] as const)(
    "a file with %s is named with the entry and the field, and nothing is asked",
    async ([, content, told]) => {
      using folder = temporaryFolder();
      const ran = await herald([
        "entry",
        "apply",
        "-f",
        fileOf(folder.path, content),
        "--admin",
        "unix:///nowhere",
      ]);
      expect([ran.code, ran.out]).toEqual([2, ""]);
      expect(ran.err).toMatch(told);
    },
  );
});
