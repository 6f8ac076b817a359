import { defineConfig } from "vitest/config";
import { SkippedPartsReporter } from "./test/support/skipped-parts-reporter.ts";

// The suite of `npm test`: everything but what needs other people's clients (vitest.interop.config.ts).
export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    exclude: ["test/interop/**"],
    // Real Envoys and brokers are child processes: a process per test file keeps what one leaves from the next.
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 60_000,
    teardownTimeout: 20_000,
    reporters: ["default", new SkippedPartsReporter({ failOnCi: false })],
  },
});
