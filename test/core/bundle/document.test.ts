import { createPublicKey } from "node:crypto";
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { expect, test } from "vitest";
import type { Bundle, JwtAuthority } from "../../../src/core/bundle/bundle.ts";
import { formatBundle, parseBundle, sameContent } from "../../../src/core/bundle/document.ts";
import { findDuplicateMember } from "../../../src/core/bundle/duplicate-members.ts";
import { BundleError } from "../../../src/core/bundle/errors.ts";
import { parseTrustDomain } from "../../../src/core/spiffe/spiffe-id.ts";
import { makeAuthority, makeBundle, makeKey } from "../../support/ca-world.ts";

interface Vectors {
  readonly cases: readonly {
    readonly rule: string;
    readonly name: string;
    readonly document: string;
    readonly expect: string | { readonly x509: number };
  }[];
}

const vectors = JSON.parse(
  readFileSync(new URL("../../vectors/bundle.json", import.meta.url), "utf8"),
) as Vectors;

const trustDomain = parseTrustDomain("example.org");

/** What a document reads as, in the words of the vectors, or the code it fails with. */
function outcome(document: string): unknown {
  try {
    const bundle = parseBundle(trustDomain, document);
    return {
      x509: bundle.x509Authorities.length,
      jwt: bundle.jwtAuthorities.map((authority) => authority.keyId),
      sequence: String(bundle.sequence),
      hint: bundle.refreshHintSeconds ?? null,
    };
  } catch (error) {
    if (error instanceof BundleError) return error.code;
    throw error;
  }
}

function formatOutcome(bundle: Bundle): string {
  try {
    formatBundle(bundle);
    return "ok";
  } catch (error) {
    if (error instanceof BundleError) return error.code;
    throw error;
  }
}

test.for(vectors.cases)("$rule $name", ({ document, expect: expected }) => {
  expect(outcome(document)).toEqual(expected);
});

const authorities = [
  makeAuthority(),
  makeAuthority({ kind: "p384" }),
  makeAuthority({ kind: "rsa2048" }),
  makeAuthority({ kind: "ed25519" }),
];
const jwtKeys: readonly JwtAuthority[] = ["p256", "p384", "rsa2048"].map((kind, index) => ({
  keyId: `key ${index} "é"`,
  publicJwk: publicJwk(kind as "p256"),
}));

function publicJwk(kind: "p256" | "p384" | "rsa2048"): Readonly<Record<string, string>> {
  return publicJwkOf(makeKey(kind).spki);
}

function publicJwkOf(spki: Uint8Array): Readonly<Record<string, string>> {
  const jwk = createPublicKey({ key: Buffer.from(spki), format: "der", type: "spki" }).export({
    format: "jwk",
  });
  return jwk as Record<string, string>;
}

const bundles = fc.record({
  trustDomain: fc.constant(trustDomain),
  sequence: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  refreshHintSeconds: fc.option(fc.integer({ min: 1, max: 86_400 }), { nil: undefined }),
  x509Authorities: fc.shuffledSubarray(authorities.map((one) => one.der)),
  jwtAuthorities: fc.shuffledSubarray([...jwtKeys]),
});

test("BDL-04 what is written is read back, and written again byte for byte", () => {
  fc.assert(
    fc.property(bundles, (bundle) => {
      const text = formatBundle(bundle);
      const back = parseBundle(trustDomain, text);
      expect(back.sequence).toBe(bundle.sequence);
      expect(sameContent(back, bundle)).toBe(true);
      expect(formatBundle(back)).toBe(text);
    }),
    { numRuns: 60 },
  );
});

test("XSVID-21 an X.509 entry has use, one x5c value and the key, and nothing else", () => {
  const text = formatBundle(makeBundle("example.org", authorities.slice(0, 1)));
  const { keys } = JSON.parse(text) as { readonly keys: readonly Record<string, unknown>[] };
  expect(keys.map((jwk) => Object.keys(jwk))).toEqual([["kty", "crv", "x", "y", "use", "x5c"]]);
  expect(keys[0]?.["x5c"]).toEqual([Buffer.from(authorities[0]?.der ?? []).toString("base64")]);
});

test("BDL-01 an empty bundle is written with an empty list", () => {
  const empty = { ...makeBundle("example.org", []), refreshHintSeconds: undefined };
  expect(formatBundle(empty)).toBe('{"keys":[],"spiffe_sequence":1}');
});

const whole = makeBundle("example.org", authorities);
const [root] = authorities;

test.for<readonly [string, Bundle, string]>([
  ["BDL-03 a negative sequence", { ...whole, sequence: -1n }, "BUNDLE_SEQUENCE"],
  ["BDL-04 a sequence of 2^64", { ...whole, sequence: 2n ** 64n }, "BUNDLE_SEQUENCE"],
  ["BDL-05 a hint with a fraction", { ...whole, refreshHintSeconds: 1.5 }, "BUNDLE_REFRESH_HINT"],
  ["BDL-05 a hint of 0", { ...whole, refreshHintSeconds: 0 }, "BUNDLE_REFRESH_HINT"],
  ["BDL-11 no certificate", { ...whole, x509Authorities: [Uint8Array.of(1)] }, "BUNDLE_AUTHORITY"],
  [
    "BDL-11 an authority twice",
    { ...whole, x509Authorities: [...whole.x509Authorities, ...whole.x509Authorities.slice(0, 1)] },
    "BUNDLE_DUPLICATE_AUTHORITY",
  ],
  [
    "JSVID-14 one key for two kinds",
    {
      ...whole,
      jwtAuthorities: [{ keyId: "a", publicJwk: publicJwkOf(root?.key.spki ?? new Uint8Array()) }],
    },
    "BUNDLE_DUPLICATE_AUTHORITY",
  ],
  [
    "JSVID-13 one kid for two keys",
    { ...whole, jwtAuthorities: jwtKeys.map((one) => ({ ...one, keyId: "a" })) },
    "BUNDLE_DUPLICATE_KEY_ID",
  ],
  [
    "a root renewed with its key",
    {
      ...whole,
      x509Authorities: [
        makeAuthority({ key: root?.key ?? makeKey() }).der,
        root?.der ?? new Uint8Array(),
      ],
    },
    "ok",
  ],
])("%s: $2", ([, bundle, expected]) => {
  expect(formatOutcome(bundle)).toBe(expected);
});

test("BDL-03 content is everything but the sequence and the order", () => {
  const bundle: Bundle = { ...whole, jwtAuthorities: jwtKeys };
  const shuffled: Bundle = {
    ...bundle,
    sequence: 99n,
    x509Authorities: bundle.x509Authorities.toReversed(),
    jwtAuthorities: jwtKeys.toReversed().map(({ keyId, publicJwk: jwk }) => ({
      keyId,
      publicJwk: Object.fromEntries(Object.entries(jwk).toReversed()),
    })),
  };
  expect(sameContent(bundle, shuffled)).toBe(true);
  const changes: readonly Bundle[] = [
    { ...bundle, trustDomain: parseTrustDomain("other.org") },
    { ...bundle, refreshHintSeconds: 60 },
    { ...bundle, refreshHintSeconds: undefined },
    { ...bundle, x509Authorities: bundle.x509Authorities.slice(1) },
    { ...bundle, jwtAuthorities: jwtKeys.slice(1) },
    {
      ...bundle,
      jwtAuthorities: jwtKeys.map((one, index) => (index === 0 ? { ...one, keyId: "b" } : one)),
    },
  ];
  expect(changes.map((changed) => sameContent(bundle, changed))).toEqual(changes.map(() => false));
});

test("FED-23 a document above 1 MiB is not read", () => {
  expect(outcome(`{"keys":[]${" ".repeat(1 << 20)}}`)).toBe("BUNDLE_TOO_LARGE");
});

test("BDL-01 deep nesting is no way to crash a reader", () => {
  const depth = 200_000;
  const document = `{"keys":[],"a":${"[".repeat(depth)}${"]".repeat(depth)}}`;
  expect(["BUNDLE_JSON", "read"]).toContain(
    typeof outcome(document) === "string" ? outcome(document) : "read",
  );
});

test("BDL-14 JSON without duplicates has none, one with a repeated member has one", () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.string(), (value, name) => {
      expect(findDuplicateMember(JSON.stringify(value))).toBeUndefined();
      const twice = `{${JSON.stringify(name)}:${JSON.stringify(value)}, ${JSON.stringify(name)} :1}`;
      expect(findDuplicateMember(twice)).toBe(name);
    }),
  );
});

test("BDL-01 any text is read or refused with BundleError", () => {
  const near = fc
    .array(
      fc.constantFrom(
        '{"keys":',
        "[",
        "]",
        "}",
        ",",
        '"use":"x509-svid"',
        '"kty":"EC"',
        '"x5c":["AA=="]',
        "{",
        "1",
        "null",
      ),
      {
        maxLength: 12,
      },
    )
    .map((parts) => parts.join(""));
  fc.assert(
    fc.property(fc.oneof(near, fc.json(), fc.string()), (text) => {
      outcome(text);
    }),
  );
});
