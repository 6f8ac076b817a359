import { expect, test } from "vitest";
import { buildProgram } from "../../src/cli/program.ts";
import { referenceOf } from "./support/reference.ts";
import { silentSurroundings } from "./support/run.ts";

test("docs/cli.md is what the commands say of themselves", async () => {
  const program = buildProgram({ surroundings: silentSurroundings, finish: () => {} });
  await expect(referenceOf(program)).toMatchFileSnapshot("../../docs/cli.md");
});
