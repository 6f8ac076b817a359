import { systemClock } from "../kit/clock.ts";
import { runCli } from "./run.ts";

// `herald events tail | head -1`: the reader has gone, which is no failure of ours.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0);
  throw error;
});

process.exitCode = await runCli(process.argv.slice(2), {
  env: process.env,
  uid: process.geteuid?.() ?? 0,
  clock: systemClock,
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
  onInterrupt(run) {
    process.once("SIGINT", run).once("SIGTERM", run);
    return () => void process.off("SIGINT", run).off("SIGTERM", run);
  },
});
