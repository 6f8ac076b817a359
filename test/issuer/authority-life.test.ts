import { describe, expect, test } from "vitest";
import type { AuthorityStatus } from "../../src/core/envelope/payloads.ts";
import {
  type AuthorityOrder,
  obey,
  statusAfter,
} from "../../src/issuer/authorities/authority-life.ts";

const statuses = ["prepared", "active", "old", "tainted", "revoked", "expired"] as const;
const orders = ["activate", "retire", "taint", "revoke", "expire"] as const;

/** What is allowed; everything else is refused. */
const allowed: readonly (readonly [AuthorityStatus, AuthorityOrder, AuthorityStatus])[] = [
  ["prepared", "activate", "active"],
  ["prepared", "revoke", "revoked"],
  ["prepared", "expire", "expired"],
  ["active", "retire", "old"],
  ["active", "taint", "tainted"],
  ["active", "expire", "expired"],
  ["old", "taint", "tainted"],
  ["old", "revoke", "revoked"],
  ["old", "expire", "expired"],
  ["tainted", "revoke", "revoked"],
  ["tainted", "expire", "expired"],
];

describe("the life of an authority", () => {
  test.for(statuses.flatMap((status) => orders.map((order) => [status, order] as const)))(
    "%s, ordered to %s",
    ([status, order]) => {
      const [, , next] = allowed.find(([from, by]) => from === status && by === order) ?? [];
      const after = statusAfter(status, order);
      if (next === undefined)
        expect(after).toMatchObject({ cure: expect.stringMatching(/^herald ca /) as unknown });
      else expect(after).toBe(next);
    },
  );

  test("nothing comes back from revoked or expired, and nothing signs again", () => {
    expect(allowed.filter(([from]) => from === "revoked" || from === "expired")).toEqual([]);
    expect(allowed.filter(([, , to]) => to === "active").map(([from]) => from)).toEqual([
      "prepared",
    ]);
  });

  test("a refusal names the authority, why, and what to do", () => {
    expect(() => obey({ authority: "a1", status: "active" }, "revoke")).toThrow(
      /cannot revoke authority a1: it signs: .* \(`herald ca taint`\)/,
    );
  });
});
