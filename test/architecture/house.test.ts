import { globSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";

/** Every line of the matching files that breaks a rule, as `path:line: text`. */
function breaches(globs: readonly string[], isBreach: (line: string) => boolean): string[] {
  return files(globs).flatMap((path) =>
    linesOf(path).flatMap((line, at) =>
      isBreach(line) ? [`${path}:${(at + 1).toString()}: ${line.trim()}`] : [],
    ),
  );
}

const files = (globs: readonly string[]): string[] =>
  globs.flatMap((glob) => globSync(glob)).filter((path) => !path.startsWith("src/wire/"));

const linesOf = (path: string): string[] => readFileSync(path, "utf8").split("\n");

const sources = ["src/**/*.ts"];
const everything = [...sources, "test/**/*.ts", "demo/**/*.ts", "tools/**/*.mjs"];

test("there is a house to look at", () => {
  expect(files(sources).length).toBeGreaterThan(10);
});

test("errors carry a code of their room's union: no bare Error in src/", () => {
  expect(
    breaches(sources, (line) => /\b(?:new|extends) Error\(|\bthrow Error\(/.test(line)),
  ).toEqual([]);
});

test("nothing is left for later in a comment", () => {
  expect(breaches(everything, (line) => /\b(?:TO[D]O|FIX[M]E|XX[X]|HA[C]K)\b/.test(line))).toEqual(
    [],
  );
});

test("no test runs alone, and none is switched off without a condition", () => {
  const focus = /\b(?:describe|test|it|suite)(?:\.\w+)*\.(?:only|skip)\b(?!If)/;
  expect(breaches(["test/**/*.test.ts"], (line) => focus.test(line))).toEqual([]);
});

test("no test waits for a fixed time where it could wait for an event", () => {
  const sleep = /await (?:sleep|delay)\(\s*\d/;
  expect(breaches(["test/**/*.test.ts"], (line) => sleep.test(line))).toEqual([]);
});

test("no linter is silenced without a reason", () => {
  const silenced = /(?:oxlint|eslint)-disable(?!.*--)|biome-ignore(?!.*: )|@ts-(?:ignore|nocheck)/;
  expect(breaches(everything, (line) => silenced.test(line))).toEqual([]);
});

// A doc comment ends on the line before. One in ten may go without: a name that says all needs no sentence. The zod shape of a documented
// type is that type over again.
test("at least nine of ten exports of src/ have a doc sentence", () => {
  const declaration =
    /^export (?:abstract |async |declare )*(?:class|function|interface|type|const|let|enum) [\w$]+/;
  const exported = files(sources).flatMap((path) => {
    const lines = linesOf(path);
    return lines.flatMap((line, at) =>
      declaration.test(line) && !/^export const \w+: z\.ZodType</.test(line)
        ? [
            {
              where: `${path}:${(at + 1).toString()}: ${line}`,
              documented: (lines[at - 1] ?? "").trimEnd().endsWith("*/"),
            },
          ]
        : [],
    );
  });
  const bare = exported.filter(({ documented }) => !documented).map(({ where }) => where);
  expect(bare.length / exported.length, bare.join("\n")).toBeLessThanOrEqual(0.1);
});
