import { expect, test } from "vitest";
import { ownEntries } from "../../src/events/own-entries.ts";
import { entry, samples } from "../core/envelope/support/samples.ts";

const [old, fresh] = [
  { ...entry, id: "old" },
  { ...entry, id: "fresh" },
];
const version = (term: bigint, seq: bigint) => ({ epoch: 1n, term, seq });
const manifest = {
  ...samples.manifest,
  goesWith: version(2n, 10n),
  before: [old],
  entries: [fresh],
};

test.for([
  ["before its index", version(2n, 9n), "old"],
  ["with its index", version(2n, 10n), "fresh"],
  ["after its index", version(2n, 11n), "fresh"],
  ["under an older term", version(1n, 99n), "old"],
  ["under a newer term", version(3n, 1n), "fresh"],
  ["before any index came", { epoch: 0n, term: 0n, seq: 0n }, "old"],
] as const)("ENT-SWITCH: a manifest %s", ([, shared, expected]) => {
  expect(ownEntries(manifest, shared).map(({ id }) => id)).toEqual([expected]);
});

test("one that goes with nothing is in force at once", () => {
  const zero = { epoch: 0n, term: 0n, seq: 0n };
  expect(ownEntries({ ...manifest, goesWith: zero }, zero)).toEqual([fresh]);
});
