import { describe, expect, test } from "vitest";
import { type EntrySpec, entrySpec, type NewEntry } from "../../../src/core/policy/entry.ts";
import { diffEntries, findTwins } from "../../../src/core/policy/entry-diff.ts";
import { findingText, refusals } from "../../../src/core/policy/finding.ts";
import { lintEntry } from "../../../src/core/policy/lint.ts";
import { parseSelector } from "../../../src/core/spiffe/selector.ts";
import {
  parseSpiffeId,
  parseTrustDomain,
  trustDomainId,
} from "../../../src/core/spiffe/spiffe-id.ts";

const trustDomain = parseTrustDomain("example.org");
const now = Date.UTC(2026, 10, 22);
const context = { trustDomain, maxTtlSeconds: 86_400, now };

const spec = (bend: Partial<NewEntry> = {}, ...selectors: readonly string[]): EntrySpec =>
  entrySpec(
    {
      spiffeId: parseSpiffeId("spiffe://example.org/web"),
      nodes: { kind: "all" },
      selectors: (selectors.length === 0 ? ["unix:uid:1000"] : selectors).map(parseSelector),
      x509TtlSeconds: 0,
      dnsNames: [],
      hint: "",
      priority: 0,
      ...bend,
    },
    { x509: 3600, jwt: 300 },
  );

const rules = (entry: EntrySpec): readonly string[] =>
  lintEntry(entry, context).map(({ rule, level }) => `${rule} ${level}`);

describe("TM-W-03 a program's path or hash is no identity by itself", () => {
  const path = "unix:path:/usr/bin/web";
  const hash = `unix:sha256:${"a".repeat(64)}`;
  test.for<readonly [readonly string[], readonly string[]]>([
    [[path], ["TM-W-03 error"]],
    [[hash], ["TM-W-03 error"]],
    [[path, hash], ["TM-W-03 error"]],
    [[path, "unix:gid:5"], ["TM-W-03 error"]],
    [[path, "unix:uid:0"], ["TM-W-03 error"]],
    [[path, "unix:user:root"], ["TM-W-03 error"]],
    [[path, "unix:uid:1000"], ["TM-W-03 overridable"]],
    [[path, "unix:user:web"], ["TM-W-03 overridable"]],
    [[path, "systemd:id:web.service"], []],
    [[hash, "docker:image_id:web"], []],
    [[path, "podman:label:app:web"], []],
    [[path, "k8s:pod-name:web"], []],
    [[path, "unix:cgroup:/system.slice/web.service"], []],
    // A selector whose value only looks like a unit's is not one.
    [[path, "unix:user:systemd:id:web"], ["TM-W-03 overridable"]],
  ])("%j: %j", ([selectors, expected]) => {
    expect(rules(spec({}, ...selectors))).toEqual(expected);
  });
});

test.for<readonly [string, EntrySpec, readonly string[]]>([
  ["what is fine", spec(), []],
  ["another trust domain", spec({ spiffeId: parseSpiffeId("spiffe://a/b") }), ["ENT-ID error"]],
  ["no path", spec({ spiffeId: trustDomainId(trustDomain) }), ["ENT-ID error"]],
  [
    "a reserved path",
    spec({ spiffeId: parseSpiffeId("spiffe://example.org/herald/x") }),
    ["ENT-RESERVED error"],
  ],
  [
    "a template that is none",
    spec({ spiffeId: trustDomainId(trustDomain), template: "spiffe://example.org/{" }),
    ["ENT-TEMPLATE error"],
  ],
  [
    "a template that gives orders",
    spec({
      spiffeId: trustDomainId(trustDomain),
      template: "spiffe://example.org/{unix.user}",
      admin: true,
      nodes: { kind: "labels", labels: { a: "b" } },
    }),
    ["ENT-TEMPLATE error"],
  ],
  ["no selector", { ...spec(), selectors: [] }, ["ENT-NO-SELECTOR error"]],
  ["two users at once", spec({}, "unix:uid:1", "unix:uid:2"), ["ENT-CONTRADICTION error"]],
  [
    "two supplementary groups",
    spec({}, "unix:uid:9", "unix:supplementary_gid:1", "unix:supplementary_gid:2"),
    [],
  ],
  ["all of root", spec({}, "unix:uid:0", "unix:gid:0"), ["ENT-BROAD warning"]],
  ["a whole group", spec({}, "unix:group:staff"), ["ENT-BROAD warning"]],
  ["an admin entry everywhere", spec({ admin: true }), ["ENT-ADMIN overridable"]],
  ["too long a life", spec({ x509TtlSeconds: 86_401 }), ["ENT-TTL error"]],
  ["too long a token", spec({ jwtTtlSeconds: 86_401 }), ["ENT-TTL error"]],
  ["an end that is over", spec({ expiresAt: now }), ["ENT-EXPIRED error"]],
  [
    "no DNS name",
    spec({ dnsNames: ["a_b", "10.0.0.1", "A.example"] }),
    ["ENT-DNS error", "ENT-DNS error", "ENT-DNS error"],
  ],
  ["a wildcard", spec({ dnsNames: ["*.example.org"] }), ["ENT-WILDCARD overridable"]],
  ["stars elsewhere", spec({ dnsNames: ["a.*.org"] }), ["ENT-DNS error"]],
  ["too long a hint", spec({ hint: "ä".repeat(513) }), ["ENT-HINT error"]],
  ["federation with itself", spec({ federatesWith: [trustDomain] }), ["ENT-FEDERATION error"]],
  ["peers", spec({ allowedPeers: ["spiffe://a/b", "spiffe://a/b/*", "spiffe://a/*"] }), []],
  [
    "peers that are none",
    spec({ allowedPeers: ["*", "spiffe://a/*/b", "spiffe://a"] }),
    ["ENT-PEER error", "ENT-PEER error", "ENT-PEER error"],
  ],
  [
    "too many names",
    spec({ dnsNames: Array.from({ length: 17 }, (_, at) => `w${at}.org`) }),
    ["ENT-SIZE error"],
  ],
])("the linter on %s", ([, entry, expected]) => {
  expect(rules(entry)).toEqual(expected);
});

test("an error is refused whatever is allowed, the rest as the operator says; each says how to go on", () => {
  const found = lintEntry(spec({ admin: true, x509TtlSeconds: 90_000 }), context);
  expect(refusals(found, new Set(["ENT-ADMIN", "ENT-TTL"])).map(({ rule }) => rule)).toEqual([
    "ENT-TTL",
  ]);
  expect(refusals(found, new Set()).map(({ rule }) => rule)).toEqual(["ENT-ADMIN", "ENT-TTL"]);
  expect(found.map(findingText)[0]).toMatch(/^node: .+ \(ENT-ADMIN\); .+, or --allow ENT-ADMIN$/);
});

describe("what a declaration changes", () => {
  const steps = (held: readonly EntrySpec[], wanted: readonly EntrySpec[]): readonly string[] =>
    diffEntries(held, wanted).map((step) =>
      [step.kind, ...("fields" in step ? step.fields : [])].join(" "),
    );
  const other = spec({ hint: "x" }, "unix:uid:7");
  test.for<readonly [string, readonly EntrySpec[], readonly EntrySpec[], readonly string[]]>([
    ["nothing", [spec()], [spec()], ["unchanged"]],
    [
      "the order of selectors",
      [spec({}, "a:b:1", "a:b:2")],
      [spec({}, "a:b:2", "a:b:1")],
      ["unchanged"],
    ],
    ["a field", [spec()], [spec({ hint: "x" })], ["update hint"]],
    ["selectors of one without a name", [spec()], [spec({}, "a:b:1")], ["create", "undeclared"]],
    [
      "selectors of one with a name",
      [spec({ name: "n" })],
      [spec({ name: "n" }, "a:b:1")],
      ["update selectors"],
    ],
    ["a name for one without", [spec()], [spec({ name: "n" })], ["update name"]],
    [
      "two that change names",
      [spec({ name: "a" }), { ...other, name: "b" }],
      [spec({ name: "b" }), { ...other, name: "a" }],
      ["update selectors hint", "update selectors hint"],
    ],
    ["one that is not declared", [spec(), other], [other], ["unchanged", "undeclared"]],
  ])("%s", ([, held, wanted, expected]) => {
    expect(steps(held, wanted)).toEqual(expected);
  });

  test("twins are found by name and by rule", () => {
    expect(findTwins([spec(), other, spec({ hint: "y" })])).toEqual({ first: 0, second: 2 });
    expect(findTwins([spec({ name: "n" }), { ...other, name: "n" }])).toEqual({
      first: 0,
      second: 1,
    });
    expect(findTwins([spec(), other])).toBeUndefined();
  });
});
