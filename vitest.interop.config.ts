import { defineConfig } from "vitest/config";
import { SkippedPartsReporter } from "./test/support/skipped-parts-reporter.ts";

// Other people's clients, packagers and service managers. A suite says `describe.skipIf(!there)("… (needs <tool>)", …)`;
// the summary names it, and with CI=true a missing tool is a failure.
export default defineConfig({
  test: {
    include: ["test/interop/**/*.test.ts"],
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 120_000,
    hookTimeout: 300_000,
    teardownTimeout: 30_000,
    reporters: ["default", new SkippedPartsReporter({ failOnCi: true })],
  },
});
