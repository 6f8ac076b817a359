import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { openEnvelope } from "../../../src/core/envelope/envelope.ts";
import { now, pin, trustDomain } from "./support/keys.ts";
import { finderFor, outcomeOf } from "./support/open.ts";
import type { VectorFile } from "./support/vector.ts";

const file = JSON.parse(readFileSync("test/vectors/envelope.json", "utf8")) as VectorFile;

test("the file is for the keys and the moment of these tests", () => {
  expect([file.trustDomain, file.pin, file.now]).toEqual([trustDomain, pin, now]);
  expect(new Set(file.cases.map((one) => one.title)).size).toBe(file.cases.length);
});

test.for(file.cases)("$title: $expect", (vector) => {
  const bytes =
    vector.envelope === undefined
      ? Buffer.from(vector.envelopeBase64 ?? "", "base64")
      : Buffer.from(vector.envelope, "utf8");
  const finder = finderFor(vector.role, { revoked: vector.revoked ?? [] });
  const open = () => openEnvelope(bytes, [vector.kind], finder);
  expect(outcomeOf(open)).toBe(vector.expect);
  if (vector.digest !== undefined) expect(open().digest).toBe(vector.digest);
});
