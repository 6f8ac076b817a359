import { status } from "@grpc/grpc-js";
import { describe, expect, test } from "vitest";
import { Finding_Result, type GetStatusResponse } from "../../src/wire/herald/v1/admin.ts";
import { type CreateEntryRequest, Entry } from "../../src/wire/herald/v1/entries.ts";
import type { CreateJoinTokenRequest } from "../../src/wire/herald/v1/nodes.ts";
import { fakeAdmin, refusal } from "./support/fake-admin.ts";
import { herald, noon } from "./support/run.ts";

const minute = 60_000;
const entry: Entry = {
  ...Entry.decode(new Uint8Array()),
  id: "e1",
  revision: "7",
  spiffeId: "spiffe://example.org/web",
  nodes: { ids: [], labels: new Map() },
  selectors: ["unix:uid:1000", "unix:gid:1000"],
  x509TtlSeconds: 3600,
  dnsNames: ["web.internal"],
  hint: "",
  priority: 0,
  createdAt: BigInt(noon - 3 * minute),
};

const times = { createdAt: "2026-11-22T11:57:00.000Z", expiresAt: null };

const healthy: GetStatusResponse = {
  trustDomain: "example.org",
  issuer: "spiffe://example.org/herald/issuer/i1",
  epoch: "1",
  term: "4",
  nodes: 2,
  entries: 5,
  pendingObjects: 0,
  fenced: false,
  busConnected: true,
  enrolmentUrl: "https://127.0.0.1:8443",
  findings: [
    { check: "sync_interval", result: Finding_Result.OK, detail: "always", cure: "" },
    { check: "backup", result: Finding_Result.UNKNOWN, detail: "none seen", cure: "make one" },
  ],
};

describe("entry", () => {
  test("create asks for what was said and shows what was made", async () => {
    const asked: CreateEntryRequest[] = [];
    using admin = await fakeAdmin({
      createEntry(request) {
        asked.push(request);
        return { entry, warnings: [] };
      },
    });
    const line =
      "entry create --spiffe-id spiffe://example.org/web --selector unix:uid:1000 --selector unix:gid:1000 --node-label a=b=c --ttl 1h --dns-name web.internal --priority -2 --hint main";
    const ran = await herald([...line.split(" "), "--admin", admin.address]);
    expect(ran.err).toBe("");
    expect(asked).toMatchObject([
      {
        entry: {
          spiffeId: "spiffe://example.org/web",
          selectors: ["unix:uid:1000", "unix:gid:1000"],
          nodes: { ids: [], labels: new Map([["a", "b=c"]]) },
          x509TtlSeconds: 3600,
          dnsNames: ["web.internal"],
          hint: "main",
          priority: -2,
        },
        allow: [],
      },
    ]);
    expect(ran.out).toBe(
      `created    e1
SPIFFE ID  spiffe://example.org/web
selectors  unix:uid:1000,unix:gid:1000
nodes      all
lifetime   3600 s
DNS names  web.internal
priority   0
`,
    );
  });

  test("list prints a table, or JSON with times in ISO 8601", async () => {
    const onNodes = { ...entry, id: "e22", nodes: { ids: [], labels: new Map([["role", "db"]]) } };
    using admin = await fakeAdmin({
      listEntries: () => ({ entries: [entry, onNodes], nextPageToken: "" }),
    });
    const env = { HERALD_ADMIN: admin.address };
    const ran = await herald(["entry", "list"], { env });
    expect(ran).toEqual({
      code: 0,
      err: "",
      out: `ID   SPIFFE ID                 SELECTORS                    NODES    TTL  PRIORITY  CREATED
e1   spiffe://example.org/web  unix:uid:1000,unix:gid:1000  all      1h   0         3m ago (2026-11-22T11:57:00Z)
e22  spiffe://example.org/web  unix:uid:1000,unix:gid:1000  role=db  1h   0         3m ago (2026-11-22T11:57:00Z)
`,
    });
    const json = await herald(["entry", "list", "--json"], { env });
    expect(JSON.parse(json.out)).toEqual({
      entries: [
        { ...entry, nodes: { ids: [], labels: {} }, ...times },
        { ...onNodes, nodes: { ids: [], labels: { role: "db" } }, ...times },
      ],
    });
  });

  test("delete of one that is not there says what to do, exit code 1", async () => {
    using admin = await fakeAdmin({
      deleteEntry({ id }) {
        throw refusal(
          status.NOT_FOUND,
          `ENTRY_NOT_FOUND: there is no entry ${id}; \`herald entry list\` shows them`,
        );
      },
    });
    const line = ["entry", "delete", "e9", "--admin", admin.address];
    expect(await herald(line)).toEqual({
      code: 1,
      out: "",
      err: `herald: the issuer at ${admin.address} refused: there is no entry e9 (ENTRY_NOT_FOUND)\n  try: \`herald entry list\` shows them\n`,
    });
    const json = await herald([...line, "--json"]);
    expect(JSON.parse(json.err)).toMatchObject({ error: { code: "ENTRY_NOT_FOUND" } });
  });
});

describe("node", () => {
  test("token prints the join string alone on stdout", async () => {
    const asked: CreateJoinTokenRequest[] = [];
    using admin = await fakeAdmin({
      createJoinToken(request) {
        asked.push(request);
        return {
          joinString: "herald1.t.s.p",
          expiresAt: BigInt(noon + 10 * minute),
          enrolmentUrl: "https://i:1",
        };
      },
    });
    const line = ["node", "token", "--name", "web-1", "--label", "r=eu", "--admin", admin.address];
    const ran = await herald(line);
    expect(asked).toEqual([{ nodeName: "web-1", replaces: false, labels: new Map([["r", "eu"]]) }]);
    expect(ran).toEqual({
      code: 0,
      out: "herald1.t.s.p\n",
      err: "For one node, once: its name web-1, its issuerUrls https://i:1. Expires in 10m (2026-11-22T12:10:00Z).\n",
    });
    const json = await herald([...line, "--json"]);
    expect(json.err).toBe("");
    expect(JSON.parse(json.out)).toEqual({
      joinString: "herald1.t.s.p",
      enrolmentUrl: "https://i:1",
      expiresAt: "2026-11-22T12:10:00.000Z",
    });
  });

  test("list tells which ones live", async () => {
    const node = {
      spiffeId: "spiffe://example.org/herald/node/join/a",
      labels: new Map([["r", "eu"]]),
      banned: false,
      enrolledAt: BigInt(noon - 60 * minute),
      expiresAt: BigInt(noon + 60 * minute),
      acknowledgedAt: BigInt(noon - 1000),
      consumers: 2,
      svids: 3,
      attestor: "join_token",
    };
    const gone = { ...node, spiffeId: "b", expiresAt: BigInt(noon - minute), acknowledgedAt: 0n };
    using admin = await fakeAdmin({
      listNodes: () => ({ nodes: [node, gone], nextPageToken: "" }),
    });
    const ran = await herald(["node", "list", "--admin", admin.address]);
    expect(ran.out).toBe(
      `NODE                                     LABELS  STATE    SVIDS  CONSUMERS  ACKNOWLEDGED                   EXPIRES
spiffe://example.org/herald/node/join/a  r=eu    live     3      2          1s ago (2026-11-22T11:59:59Z)  in 1h (2026-11-22T13:00:00Z)
b                                        r=eu    expired  3      2          never                          1m ago (2026-11-22T11:59:00Z)
`,
    );
  });
});

describe("doctor", () => {
  test("says what is well and what is not known, exit code 0", async () => {
    using admin = await fakeAdmin({ getStatus: () => healthy });
    expect(await herald(["doctor", "--admin", admin.address])).toEqual({
      code: 0,
      err: "",
      out: `trust domain  example.org
issuer        spiffe://example.org/herald/issuer/i1
enrolment     https://127.0.0.1:8443
nodes         2
entries       5

ok       lead           this issuer leads (term 4)
ok       bus            NATS is connected
ok       state          all that is recorded is where nodes read it
ok       sync_interval  always
unknown  backup         none seen
         try: make one
`,
    });
  });

  test.for([
    { busConnected: false },
    { fenced: true },
    { pendingObjects: 3 },
    { findings: [{ check: "tls", result: Finding_Result.FAILED, detail: "off", cure: "on" }] },
  ])("%j is exit code 1", async (bad) => {
    using admin = await fakeAdmin({ getStatus: () => ({ ...healthy, ...bad }) });
    const ran = await herald(["doctor", "--json", "--admin", admin.address]);
    expect(ran.code).toBe(1);
    const { checks } = JSON.parse(ran.out) as { checks: { result: string; cure: string }[] };
    const failed = checks.filter(({ result }) => result === "failed");
    expect(failed).toHaveLength(1);
    expect(failed[0]?.cure).not.toBe("");
  });
});

describe("events tail", () => {
  const event = (n: number): string =>
    JSON.stringify({
      specversion: "1.0",
      type: "svid.rotated",
      subject: "spiffe://example.org/web",
      time: "2026-11-22T11:59:59Z",
      data: { n, serial: "0a\u001b[31m", nested: {} },
    });

  test("prints a line an event, as many as wanted, without terminal escapes", async () => {
    const since: bigint[] = [];
    using admin = await fakeAdmin({
      tailEvents(request) {
        since.push(request.since);
        const messages = [4n, 5n, 6n].map((sequence) => ({
          sequence,
          event: event(Number(sequence)),
        }));
        return { messages, open: true };
      },
    });
    const line = ["events", "tail", "--since", "4", "--count", "2", "--admin", admin.address];
    const ran = await herald(line);
    expect(since).toEqual([4n]);
    expect(ran.out).toBe(
      `4  2026-11-22T11:59:59Z  svid.rotated  spiffe://example.org/web  n=4  serial=0a?[31m
5  2026-11-22T11:59:59Z  svid.rotated  spiffe://example.org/web  n=5  serial=0a?[31m
`,
    );
    const json = await herald([...line, "--json"]);
    const [first] = json.out.split("\n");
    expect(JSON.parse(first ?? "")).toEqual({
      sequence: 4,
      event: JSON.parse(event(4)) as unknown,
    });
  });

  test("Ctrl-C ends it with 0", async () => {
    using admin = await fakeAdmin({
      tailEvents: () => ({ messages: [{ sequence: 1n, event: event(1) }], open: true }),
    });
    const ran = await herald(["events", "tail", "--admin", admin.address], {
      onOut: (_, interrupt) => interrupt(),
    });
    expect(ran.code).toBe(0);
    expect(ran.err).toBe("");
  });
});

describe("what an issuer answers when it cannot or will not", () => {
  test.for([
    [
      status.PERMISSION_DENIED,
      "uid 1000 is no operator",
      "ADMIN_DENIED",
      "run this as root, as the issuer's own user, or as a member of the group in its admin.group",
    ],
    [
      status.UNAVAILABLE,
      "AUDIT_UNAVAILABLE: the audit stream does not answer",
      "AUDIT_UNAVAILABLE",
      "look whether the issuer and NATS run (its log tells), then: herald doctor",
    ],
    [
      status.INTERNAL,
      "oops",
      "INTERNAL",
      "see the issuer's log; herald doctor tells what it finds wrong",
    ],
    [
      status.INVALID_ARGUMENT,
      "ENTRY_INVALID: spiffe-id: is reserved; choose another",
      "ENTRY_INVALID",
      "choose another",
    ],
  ] as const)("%i %s", async ([code, details, expected, cure]) => {
    using admin = await fakeAdmin({
      listEntries() {
        throw refusal(code, details);
      },
    });
    const ran = await herald(["entry", "list", "--json", "--admin", admin.address]);
    expect(ran.code).toBe(1);
    expect(ran.out).toBe("");
    const { error } = JSON.parse(ran.err) as { error: { code: string; cure: string } };
    expect([error.code, error.cure]).toEqual([
      expected === "ADMIN_DENIED" ? "PERMISSION_DENIED" : expected,
      cure,
    ]);
  });
});
