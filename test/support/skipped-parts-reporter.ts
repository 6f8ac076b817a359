import type { Reporter, TestModule, Vitest } from "vitest/node";
import { envoySkipped } from "./parts.ts";

/** How a run ends that left something out. */
interface Options {
  /**
   * With `CI=true`, a suite that was left out for want of a tool fails the run; not one that is named "… (where …)",
   * for what few machines can have, such as a Docker engine.
   */
  readonly failOnCi: boolean;
}

/** Names what a run left out for want of a real part; what is skipped in silence is taken for tested. */
export class SkippedPartsReporter implements Reporter {
  readonly #options: Options;

  #filtered = false;

  constructor(options: Options) {
    this.#options = options;
  }

  onInit(vitest: Vitest): void {
    // `-t pattern` skips everything else: nothing is missing then.
    this.#filtered = vitest.config.testNamePattern !== undefined;
  }

  onTestRunEnd(modules: readonly TestModule[]): void {
    const skipped = modules.flatMap(skippedIn);
    if (this.#filtered || skipped.length === 0) return;
    const why = envoySkipped() ? " (HERALD_SKIP_ENVOY=1: ENVOY SKIPPED)" : "";
    const list = skipped.map((name) => `  - ${name}`).join("\n");
    process.stderr.write(`\n*** NOT TESTED in this run${why}:\n${list}\n\n`);
    const expected = skipped.filter((name) => !name.includes("(where "));
    if (expected.length > 0 && this.#options.failOnCi && process.env["CI"] === "true") {
      process.stderr.write("*** CI=true: a suite whose tool is missing fails the run.\n\n");
      process.exitCode = 1;
    }
  }
}

/** The outermost skipped suites and tests of a file. */
function skippedIn(module: TestModule): string[] {
  return [...module.children].flatMap(function outermost(task): string[] {
    if (task.type === "suite") {
      const below = [...task.children];
      const all = [...task.children.allTests()];
      if (all.length > 0 && all.every((test) => test.result().state === "skipped")) {
        return [`${module.relativeModuleId}: ${task.fullName}`];
      }
      return below.flatMap(outermost);
    }
    return task.result().state === "skipped"
      ? [`${module.relativeModuleId}: ${task.fullName}`]
      : [];
  });
}
