import { createHash } from "node:crypto";
import fc from "fast-check";
import { expect, test } from "vitest";
import { token26, trustDomainToken } from "../../src/core/envelope/object-keys.ts";
import {
  auditSubject,
  buckets,
  directGetSubject,
  eventSubject,
  families,
  headSubject,
  keyOfRepublished,
  keyOfStored,
  nodeInboxPrefix,
  nodeSubscriptions,
  parseRequestSubject,
  republishedSubject,
  requestKinds,
  requestSubject,
  storedSubject,
} from "../../src/events/subjects.ts";

const token = fc.stringMatching(/^[a-z0-9-]{1,20}$/);
const name = fc.array(token, { minLength: 1, maxLength: 4 }).map((tokens) => tokens.join("."));
const key = fc
  .tuple(fc.constantFrom(...families.map((family) => family.name)), name)
  .map(([family, rest]) => `${family}.${rest}`);

// From Python: base64.b32encode(sha256(id).digest()).decode().lower()[:26]
test.for<readonly [string, string]>([
  ["spiffe://example.org/herald/node/a", "xglqfhir6lz4aun3nih5rre3ab"],
  ["", "4oymiquy7qobjgx36tejs35zeq"],
])("the token of %j is %s (ND-06)", ([id, wanted]) => {
  expect(token26(id)).toBe(wanted);
});

test("a token is 26 characters of base32, whatever the name (ND-06, NATS-28)", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (id) => {
      const made = token26(id);
      expect(made).toMatch(/^[a-z2-7]{26}$/);
      const bits = [...createHash("sha256").update(id).digest()]
        .map((byte) => byte.toString(2).padStart(8, "0"))
        .join("");
      const first = Number.parseInt(bits.slice(0, 5), 2);
      expect(made.charAt(0)).toBe("abcdefghijklmnopqrstuvwxyz234567".charAt(first));
    }),
  );
});

test("a key comes back from the subject it is stored under, and from its republished one", () => {
  fc.assert(
    fc.property(key, (made) => {
      expect(keyOfStored(storedSubject(made))).toBe(made);
      const family = families.find((each) => made.startsWith(`${each.name}.`));
      if (family?.forNodes === true) {
        expect(keyOfRepublished(republishedSubject(made))).toBe(made);
      } else {
        expect(() => republishedSubject(made)).toThrow(
          expect.objectContaining({ code: "BUS_BAD_KEY" }),
        );
      }
    }),
  );
});

test("no two keys are stored under one subject, and no key holds a wildcard", () => {
  fc.assert(
    fc.property(key, key, (one, other) => {
      expect(storedSubject(one) === storedSubject(other)).toBe(one === other);
      expect(storedSubject(one)).not.toMatch(/[*>\s]/);
    }),
  );
});

test("a subject of any shape is a key or undefined, never an error", () => {
  const subject = fc.oneof(
    fc.string(),
    fc.string().map((rest) => `$KV.HB_ISSUER.${rest}`),
  );
  fc.assert(
    fc.property(subject, (made) => {
      for (const found of [keyOfStored(made), keyOfRepublished(made)]) {
        if (found !== undefined) expect(storedSubject(found)).toBeTypeOf("string");
      }
    }),
  );
});

test.for([
  "$KV.HB_ISSUER.entry.a", // a family of another bucket
  "$KV.HB_ENTRY",
  "$KV.HB_OTHER.a",
  "$KV.HB_BUNDLE.A",
  "herald.v1.kv.entry.a", // an issuers' family is never republished
  "herald.v1.kv.bundle",
  "herald.v1.head.a",
])("%s is no object", (subject) => {
  expect(keyOfStored(subject) ?? keyOfRepublished(subject)).toBeUndefined();
});

test("a request's subject gives its kind and node back", () => {
  fc.assert(
    fc.property(fc.constantFrom(...requestKinds), token, (kind, node) => {
      expect(parseRequestSubject(requestSubject(kind, node))).toEqual({ kind, node });
    }),
  );
});

test.for(["herald.v1.req.csr.main.a", "herald.v1.req.sign.east.a", "herald.v1.req.sign.main", "x"])(
  "%s is no request",
  (subject) => {
    expect(parseRequestSubject(subject)).toBeUndefined();
  },
);

test.for(["", "A", "a.b", "*", ">", "a b"])(
  "%j is no token of a node or issuer (NATS-28)",
  (bad) => {
    const refused: unknown = expect.objectContaining({ code: "BUS_BAD_KEY" });
    expect(() => requestSubject("sign", bad)).toThrow(refused);
    expect(() => auditSubject(bad)).toThrow(refused);
    expect(() => nodeInboxPrefix(bad)).toThrow(refused);
    expect(() => nodeSubscriptions(bad, "example.org")).toThrow(refused);
  },
);

test("subjects are as protocol.md has them", () => {
  const td = trustDomainToken("example.org");
  expect(headSubject("example.org")).toBe(`herald.v1.head.${td}`);
  expect(eventSubject("svid.rotated", "example.org")).toBe(`herald.v1.evt.svid.rotated.${td}`);
  expect(auditSubject("issuer-1")).toBe("herald.v1.audit.issuer-1");
  expect(storedSubject("term.current")).toBe("$KV.HB_ISSUER.term.current");
  expect(storedSubject("entry.a")).toBe("$KV.HB_ENTRY.a");
  expect(directGetSubject("node.a")).toBe("$JS.API.DIRECT.GET.KV_HB_NODE.$KV.HB_NODE.a");
});

test("every family has its bucket, and only the nodes' buckets are republished", () => {
  for (const family of families) {
    const bucket = buckets.find((each) => each.name === family.bucket);
    expect(bucket?.republishedAs).toBe(family.forNodes ? family.name : undefined);
  }
});
