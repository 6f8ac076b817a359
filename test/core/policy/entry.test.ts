import fc from "fast-check";
import { expect, test } from "vitest";
import { compareEntries, type NodeSelection, selectsNode } from "../../../src/core/policy/entry.ts";
import { parseSpiffeId } from "../../../src/core/spiffe/spiffe-id.ts";
import { entry } from "../envelope/support/fields.ts";
import { entry as sample } from "../envelope/support/samples.ts";

const id = parseSpiffeId("spiffe://example.org/herald/node/join_token/web-1");
const other = parseSpiffeId("spiffe://example.org/herald/node/join_token/web-10");
const node = { id, labels: { zone: "eu-1", tier: "web", empty: "" } };

test.for<readonly [string, NodeSelection, boolean]>([
  ["all nodes", { kind: "all" }, true],
  ["its id", { kind: "ids", ids: [id] }, true],
  ["its id among others", { kind: "ids", ids: [other, id] }, true],
  ["another id that starts like its own", { kind: "ids", ids: [other] }, false],
  ["no id", { kind: "ids", ids: [] }, false],
  ["one of its labels", { kind: "labels", labels: { zone: "eu-1" } }, true],
  ["two of its labels", { kind: "labels", labels: { zone: "eu-1", tier: "web" } }, true],
  ["one label of two", { kind: "labels", labels: { zone: "eu-1", tier: "db" } }, false],
  ["a label with another value", { kind: "labels", labels: { zone: "eu-2" } }, false],
  ["a label it lacks", { kind: "labels", labels: { rack: "1" } }, false],
  ["an empty label it has", { kind: "labels", labels: { empty: "" } }, true],
  ["an empty label it lacks", { kind: "labels", labels: { rack: "" } }, false],
  ["a label that every object inherits", { kind: "labels", labels: { constructor: "" } }, false],
])("TM-N-01 an entry for %s", ([, selection, expected]) => {
  expect(selectsNode(selection, node)).toBe(expected);
});

test("TM-N-01 labels that an entry asks for select a node if and only if it has them all", () => {
  const labels = fc.dictionary(fc.constantFrom("a", "b", "c"), fc.constantFrom("1", "2"));
  fc.assert(
    fc.property(labels, labels, (asked, held) => {
      const expected = ["a", "b", "c"].every(
        (name) => !Object.hasOwn(asked, name) || asked[name] === held[name],
      );
      expect(selectsNode({ kind: "labels", labels: asked }, { id, labels: held })).toBe(expected);
    }),
  );
});

test("WAPI-18 higher priority first, then the older, then the lower id", () => {
  const of = (id: string, priority: number, createdAt: number) => ({
    ...sample,
    id,
    priority,
    createdAt,
  });
  const sorted = [of("d", 0, 2), of("c", 0, 1), of("b", 0, 1), of("a", -1, 0), of("e", 5, 9)];
  expect(sorted.toSorted(compareEntries).map((one) => one.id)).toEqual(["e", "b", "c", "d", "a"]);
});

test("WAPI-18 the order is total, whatever order they come in", () => {
  const orders = fc
    .uniqueArray(entry, { selector: (one) => one.id, maxLength: 8 })
    .chain((made) =>
      fc.tuple(fc.constant(made), fc.shuffledSubarray(made, { minLength: made.length })),
    );
  fc.assert(
    fc.property(orders, ([made, shuffled]) => {
      expect(shuffled.toSorted(compareEntries)).toEqual(made.toSorted(compareEntries));
    }),
  );
});
