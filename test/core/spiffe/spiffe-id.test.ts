import { readFileSync } from "node:fs";
import fc from "fast-check";
import { expect, test } from "vitest";
import { SpiffeIdError } from "../../../src/core/spiffe/errors.ts";
import {
  isReserved,
  parseSpiffeId,
  parseTrustDomain,
  pathOf,
  spiffeIdFrom,
  trustDomainId,
  trustDomainOf,
} from "../../../src/core/spiffe/spiffe-id.ts";

interface Vector {
  readonly rule: string;
  readonly input: string;
  readonly expect: string;
}

const vectors = JSON.parse(
  readFileSync(new URL("../../vectors/spiffe-id.json", import.meta.url), "utf8"),
) as { readonly cases: readonly Vector[] };

/** The code that `run` fails with, or "ok". */
function outcome(run: () => unknown): string {
  try {
    run();
    return "ok";
  } catch (error) {
    if (error instanceof SpiffeIdError) return error.code;
    throw error;
  }
}

const trustDomainBytes = new Set("abcdefghijklmnopqrstuvwxyz0123456789.-_");
const pathBytes = new Set([...trustDomainBytes, ...Array.from("ABCDEFGHIJKLMNOPQRSTUVWXYZ")]);
const everyByte = Array.from({ length: 256 }, (_, code) => String.fromCharCode(code));

test.for(vectors.cases)("$rule $input: $expect", ({ input, expect: expected }) => {
  expect(outcome(() => parseSpiffeId(input))).toBe(expected);
});

test("SID-04 every byte in every position of a trust domain", () => {
  for (const byte of everyByte) {
    for (const name of [`${byte}bc`, `a${byte}c`, `ab${byte}`]) {
      const isLegal = trustDomainBytes.has(byte);
      expect([name, outcome(() => parseTrustDomain(name))]).toEqual([
        name,
        isLegal ? "ok" : "ID_TRUST_DOMAIN_CHARACTER",
      ]);
      // In an ID a slash ends the name, so it may be legal there.
      if (byte !== "/") {
        expect(outcome(() => parseSpiffeId(`spiffe://${name}/x`)) === "ok").toBe(isLegal);
      }
    }
  }
});

test("SID-09 every byte in every position of a path", () => {
  for (const byte of everyByte) {
    for (const segment of [`${byte}bc`, `a${byte}c`, `ab${byte}`]) {
      if (byte === "/") continue;
      const expected = pathBytes.has(byte) ? "ok" : "ID_PATH_CHARACTER";
      for (const path of [`/${segment}`, `/${segment}/z`, `/z/${segment}`]) {
        expect([path, outcome(() => parseSpiffeId(`spiffe://td${path}`))]).toEqual([
          path,
          expected,
        ]);
      }
    }
  }
});

test("SID-10 takes 2048 bytes, SID-11 and not one more", () => {
  const prefix = "spiffe://td/";
  expect(outcome(() => parseSpiffeId(prefix + "a".repeat(2048 - prefix.length)))).toBe("ok");
  expect(outcome(() => parseSpiffeId(prefix + "a".repeat(2049 - prefix.length)))).toBe(
    "ID_TOO_LONG",
  );
});

test("SID-11 takes a trust domain of 255 bytes, and not one more", () => {
  expect(outcome(() => parseTrustDomain("a".repeat(255)))).toBe("ok");
  expect(outcome(() => parseTrustDomain("a".repeat(256)))).toBe("ID_TRUST_DOMAIN_TOO_LONG");
  expect(outcome(() => parseSpiffeId(`spiffe://${"a".repeat(256)}/w`))).toBe(
    "ID_TRUST_DOMAIN_TOO_LONG",
  );
});

const segment = fc
  .string({ unit: fc.constantFrom(...pathBytes), minLength: 1, maxLength: 12 })
  .filter((text) => text !== "." && text !== "..");
const path = fc
  .array(segment, { maxLength: 6 })
  .map((list) => list.map((one) => `/${one}`).join(""));
const name = fc.string({ unit: fc.constantFrom(...trustDomainBytes), minLength: 1, maxLength: 30 });

test("SID-14 what is put together comes apart again, byte for byte", () => {
  fc.assert(
    fc.property(name, path, (domain, where) => {
      const id = spiffeIdFrom(parseTrustDomain(domain), where);
      expect([trustDomainOf(id), pathOf(id)]).toEqual([domain, where]);
      expect(`${trustDomainId(trustDomainOf(id))}${pathOf(id)}`).toBe(id);
      expect(parseSpiffeId(id)).toBe(id);
    }),
  );
});

test("SID-14 whatever parses is its own spelling, whatever does not throws a SpiffeIdError", () => {
  const near = fc
    .array(
      fc.constantFrom(
        "spiffe://",
        "td",
        "/",
        "..",
        ".",
        "%2e",
        "a",
        "?",
        "#",
        ":",
        "@",
        "\u0000",
        "é",
      ),
      {
        maxLength: 8,
      },
    )
    .map((parts) => parts.join(""));
  fc.assert(
    fc.property(fc.oneof(near, fc.string()), (text) => {
      const result = outcome(() => expect(parseSpiffeId(text)).toBe(text));
      expect(result === "ok" || result.startsWith("ID_")).toBe(true);
    }),
  );
});

test("a path cannot lengthen the trust domain", () => {
  const domain = parseTrustDomain("example.org");
  expect(outcome(() => spiffeIdFrom(domain, ".evil.com/web"))).toBe("ID_PATH_NO_LEADING_SLASH");
});

test.for([
  ["/herald", true],
  ["/herald/node/a", true],
  ["/heraldry", false],
  ["/a/herald", false],
  ["", false],
  ["/Herald/x", false],
] as const)("protocol.md: path %j is reserved: %j", ([where, reserved]) => {
  expect(isReserved(parseSpiffeId(`spiffe://example.org${where}`))).toBe(reserved);
});
