import { CommanderError } from "commander";
import { exitCode } from "./exit-code.ts";
import { buildProgram } from "./program.ts";
import { printReport, reportOf } from "./report.ts";
import type { Surroundings } from "./surroundings.ts";

/** Runs one command line, without the program's name in front; resolves with the exit code and throws nothing. */
export async function runCli(argv: readonly string[], surroundings: Surroundings): Promise<number> {
  let code: number = exitCode.ok;
  const finish = (told: number): void => {
    code = told;
  };
  try {
    await buildProgram({ surroundings, finish }).parseAsync([...argv], { from: "user" });
    return code;
  } catch (thrown) {
    // Help and version were printed as asked.
    if (thrown instanceof CommanderError && thrown.exitCode === 0) return exitCode.ok;
    const report = reportOf(thrown);
    surroundings.err(printReport(report, argv.includes("--json")));
    return report.exitCode;
  }
}
