import { z } from "zod";
import type { Line } from "./program.ts";

/** What benchmarks read in a node daemon's log. */
export interface LogLine {
  readonly msg: string;
  /** Of the consumer, where the line is about one. */
  readonly pid?: number | undefined;
  readonly ids?: readonly string[] | undefined;
  readonly secrets?: readonly { readonly name: string; readonly of: string }[] | undefined;
}

const logLine: z.ZodType<LogLine> = z.object({
  msg: z.string(),
  pid: z.number().optional(),
  ids: z.array(z.string()).optional(),
  secrets: z.array(z.object({ name: z.string(), of: z.string() })).optional(),
});

/** A line as the daemon wrote it; undefined for any other. */
export function readLogLine(line: Line): LogLine | undefined {
  if (!line.text.startsWith("{")) return undefined;
  const read = logLine.safeParse(JSON.parse(line.text));
  return read.success ? read.data : undefined;
}

/** Is this the line that says `message` of the secret `name`? */
export function tellsOf(line: Line, message: string, name: string): boolean {
  if (!line.text.includes(message) || !line.text.includes(name)) return false;
  const read = readLogLine(line);
  const names = [...(read?.ids ?? []), ...(read?.secrets ?? []).map((secret) => secret.name)];
  return read?.msg === message && names.includes(name);
}
