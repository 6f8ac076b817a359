import type { RotationProgress } from "../wire/herald/v1/authorities.ts";
import type { Progress } from "./calls/authorities.ts";
import { CliError } from "./cli-error.ts";
import { exitCode } from "./exit-code.ts";
import { printProgress, progressJson } from "./rotation-line.ts";
import type { Surroundings } from "./surroundings.ts";

/** Prints a rotation's progress, a line a change, until it has ended. Ctrl-C ends the printing alone. Resolves with the exit code. */
export async function followRotation(
  begin: (signal: AbortSignal) => Progress,
  options: { readonly json: boolean; readonly isWatch: boolean },
  surroundings: Surroundings,
): Promise<number> {
  const { clock } = surroundings;
  const interrupt = new AbortController();
  const forget = surroundings.onInterrupt(() => interrupt.abort());
  const startedAt = clock.now();
  let last: RotationProgress | undefined;
  let told = "";
  try {
    for await (const { progress } of begin(interrupt.signal)) {
      if (progress === undefined) continue;
      last = progress;
      const line = options.json ? JSON.stringify(progressJson(progress)) : printProgress(progress);
      if (line === told) continue;
      told = line;
      const elapsed = `+${((clock.now() - startedAt) / 1000).toFixed(1)}s`;
      surroundings.out(options.json ? `${line}\n` : `${elapsed.padEnd(7)} ${line}\n`);
      if (progress.step === "done") return exitCode.ok;
      if (progress.step === "aborted") return exitCode.failed;
    }
  } finally {
    forget();
  }
  if (interrupt.signal.aborted) {
    surroundings.err(
      "herald: the rotation goes on without this command\n  try: herald ca rotate --watch\n",
    );
    return exitCode.failed;
  }
  return ended(options.isWatch && last === undefined);
}

/** The stream ended before the rotation did. */
function ended(hadNothingToWatch: boolean): number {
  if (hadNothingToWatch) {
    const cure = "herald ca rotate, to begin one";
    throw new CliError("ROTATION_UNFINISHED", "no rotation is under way", { cure });
  }
  throw new CliError(
    "ROTATION_UNFINISHED",
    "the issuer ended the stream before the rotation was done; it goes on as soon as an issuer runs",
    {
      cure: "herald ca rotate --watch",
    },
  );
}
