import fc from "fast-check";
import type { HeadRef, Purpose } from "../../../../src/core/envelope/payloads.ts";
import type { Version } from "../../../../src/core/envelope/version.ts";
import type { Entry, NodeSelection } from "../../../../src/core/policy/entry.ts";
import { parseSelector, type Selector } from "../../../../src/core/spiffe/selector.ts";
import {
  parseSpiffeId,
  parseTrustDomain,
  type SpiffeId,
  type TrustDomain,
} from "../../../../src/core/spiffe/spiffe-id.ts";

/** Random values of single members. */

const letters = (alphabet: string, least: number, most: number): fc.Arbitrary<string> =>
  fc.string({ unit: fc.constantFrom(...alphabet.split("")), minLength: least, maxLength: most });

export const time: fc.Arbitrary<number> = fc.maxSafeNat();
export const uint64: fc.Arbitrary<bigint> = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
export const digest: fc.Arbitrary<string> = letters("0123456789abcdef", 64, 64);
export const token: fc.Arbitrary<string> = letters("abcdefghijklmnopqrstuvwxyz0123456789-", 1, 64);
export const base64: fc.Arbitrary<string> = fc
  .uint8Array({ maxLength: 40 })
  .map((bytes) => Buffer.from(bytes).toString("base64"));
/** Any text at all, control characters, half surrogates and quotes among them. */
export const text: fc.Arbitrary<string> = fc.string({ unit: "binary", maxLength: 40 });
export const version: fc.Arbitrary<Version> = fc.record({
  epoch: uint64,
  term: uint64,
  seq: uint64,
});
export const key: fc.Arbitrary<string> = fc
  .tuple(letters("abcdefghijklmnopqrstuvwxyz", 1, 8), token)
  .map(([family, name]) => `${family}.${name}`);
export const trustDomain: fc.Arbitrary<TrustDomain> = letters(
  "abcdefghijklmnopqrstuvwxyz0123456789-._",
  1,
  30,
).map(parseTrustDomain);
export const spiffeId: fc.Arbitrary<SpiffeId> = fc
  .tuple(trustDomain, fc.array(letters("abcXYZ012-_", 1, 8), { minLength: 1, maxLength: 3 }))
  .map(([td, path]) => parseSpiffeId(`spiffe://${td}/${path.join("/")}`));
const selector: fc.Arbitrary<Selector> = letters("abcXYZ012:,/ é", 1, 20).map((value) =>
  parseSelector(`unix:k${value}`),
);
/** Members of any name but `__proto__`, which is refused. */
export const labels: fc.Arbitrary<Record<string, string>> = fc
  .dictionary(fc.oneof(text, fc.constantFrom("constructor", "toString", "1", "")), text, {
    maxKeys: 3,
    noNullPrototype: true,
  })
  .filter((made) => !Object.hasOwn(made, "__proto__"));
export const headRef: fc.Arbitrary<HeadRef> = fc.record({ epoch: uint64, term: uint64, n: uint64 });
export const purpose: fc.Arbitrary<Purpose> = fc.oneof(
  fc.constant({ kind: "kept-warm" } as const),
  fc.record({
    kind: fc.constant("caller" as const),
    selectors: fc.array(selector, { maxLength: 3 }),
    pid: time,
  }),
);

const nodeSelection: fc.Arbitrary<NodeSelection> = fc.oneof(
  fc.constant({ kind: "all" } as const),
  fc.record({
    kind: fc.constant("ids" as const),
    ids: fc.array(spiffeId, { minLength: 1, maxLength: 3 }),
  }),
  fc.record({ kind: fc.constant("labels" as const), labels }),
);

export const entry: fc.Arbitrary<Entry> = fc.record({
  id: token,
  revision: uint64,
  spiffeId,
  nodes: nodeSelection,
  selectors: fc.array(selector, { minLength: 1, maxLength: 3 }),
  template: text,
  x509TtlSeconds: fc.integer({ min: 1 }),
  jwtTtlSeconds: fc.integer({ min: 1 }),
  dnsNames: fc.array(text, { maxLength: 2 }),
  federatesWith: fc.array(trustDomain, { maxLength: 2 }),
  hint: text,
  admin: fc.boolean(),
  priority: fc.integer(),
  allowedPeers: fc.array(text, { maxLength: 2 }),
  expiresAt: time,
  keepWarm: fc.boolean(),
  name: text,
  set: text,
  createdAt: time,
});
