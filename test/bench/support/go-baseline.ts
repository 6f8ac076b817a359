import { execFile } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);
const source = fileURLToPath(new URL("../go/", import.meta.url));

/** What a loop in Go that only reads, checks and signs gets done. */
export interface GoRate {
  readonly perSecond: number;
  readonly cpuMicros: number;
}

/** The Go loop of test/bench/go, built into `folder`; undefined where there is no Go. */
export async function goBaseline(
  folder: string,
  pin: readonly string[],
): Promise<((durationMs: number) => Promise<GoRate>) | undefined> {
  const binary = join(folder, "go-baseline");
  try {
    await run("go", ["build", "-o", binary, "."], { cwd: source });
  } catch (thrown) {
    if (thrown instanceof Error && "code" in thrown && thrown.code === "ENOENT") return undefined;
    throw thrown;
  }
  return async (durationMs) => {
    const [command, ...args] = [...pin, binary, "-for", `${durationMs}ms`];
    const { stdout } = await run(command, args);
    const [perSecond = Number.NaN, cpuMicros = Number.NaN] = stdout.trim().split(" ").map(Number);
    return { perSecond, cpuMicros };
  };
}
