import fc from "fast-check";
import { expect, test } from "vitest";
import { SpiffeIdError } from "../../../src/core/spiffe/errors.ts";
import { parseSelector, selectorsMatch } from "../../../src/core/spiffe/selector.ts";

function outcome(text: string): string {
  try {
    return parseSelector(text) === text ? "ok" : "changed";
  } catch (error) {
    if (error instanceof SpiffeIdError) return error.code;
    throw error;
  }
}

test.for([
  ["unix:uid:1000", "ok"],
  ["unix:path:/usr/bin/a b", "ok"],
  ["docker:label:a,k8s:sa:admin", "ok"],
  ["docker:label:empty:", "ok"],
  ["k8s:ns:prod", "ok"],
  ["x:é", "ok"],
  [`a:${"b".repeat(1022)}`, "ok"],
  ["", "ID_SELECTOR_EMPTY"],
  [`a:${"b".repeat(1023)}`, "ID_SELECTOR_TOO_LONG"],
  [`a:${"é".repeat(600)}`, "ID_SELECTOR_TOO_LONG"],
  ["unix", "ID_SELECTOR_TYPE"],
  [":uid:1", "ID_SELECTOR_TYPE"],
  ["Unix:uid:1", "ID_SELECTOR_TYPE"],
  ["un-ix:uid:1", "ID_SELECTOR_TYPE"],
  [" unix:uid:1", "ID_SELECTOR_TYPE"],
  ["unix:", "ID_SELECTOR_VALUE"],
  ["unix::1", "ID_SELECTOR_VALUE"],
  ["unix:uid:1\n", "ID_SELECTOR_CHARACTER"],
  ["unix:uid:\u0000", "ID_SELECTOR_CHARACTER"],
  ["unix:uid:\u0085", "ID_SELECTOR_CHARACTER"],
  ["unix:uid:\u2028", "ID_SELECTOR_CHARACTER"],
  ["unix:uid:\ud800", "ID_SELECTOR_CHARACTER"],
] as const)("TM-W-08 %j: %s", ([text, expected]) => {
  expect(outcome(text)).toBe(expected);
});

test("TM-W-08 a parsed selector has one spelling and one UTF-8 form", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (value) => {
      const text = `unix:x:${value}`;
      const result = outcome(text);
      expect(result).not.toBe("changed");
      if (result === "ok") expect(Buffer.from(text).toString()).toBe(text);
    }),
  );
});

const uid = parseSelector("unix:uid:1000");
const gid = parseSelector("unix:gid:1000");

test.for([
  [[uid], [uid, gid], true],
  [[uid, gid], [uid, gid], true],
  [[uid, gid], [uid], false],
  [[], [uid], false],
  [[], [], false],
] as const)("%j required, %j held: %j", ([required, held, expected]) => {
  expect(selectorsMatch(required, new Set(held))).toBe(expected);
});

test("TM-W-08 a value that quotes another selector does not hold it", () => {
  const label = parseSelector("docker:label:a,unix:uid:1000");
  expect(selectorsMatch([uid], new Set([label]))).toBe(false);
});
