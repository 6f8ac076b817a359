import { readFileSync, writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import { openEnvelope } from "../../../src/core/envelope/envelope.ts";
import { now, pin, trustDomain } from "./support/keys.ts";
import { makeVectors } from "./support/make-vectors.ts";
import { finderFor, outcomeOf } from "./support/open.ts";
import type { VectorFile } from "./support/vector.ts";

const path = "test/vectors/envelope.json";
const made = await makeVectors();

// After a change of a payload: VECTORS=write, and say in the commit why other implementations have to follow.
if (process.env["VECTORS"] === "write") writeFileSync(path, `${JSON.stringify(made, null, 1)}\n`);

const file = JSON.parse(readFileSync(path, "utf8")) as VectorFile;

/** A file's cases without their signatures: chance has a part in those of ES256. */
const settled = ({ cases }: VectorFile): readonly object[] =>
  cases.map((one) => ({ ...one, envelope: one.envelope?.replace(/"sig":"[^"]*"/, "") }));

test("the file is what its maker makes", () => {
  expect({ ...file, cases: settled(file) }).toEqual({ ...made, cases: settled(made) });
});

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
