import { readFile } from "node:fs/promises";
import { z } from "zod";

/** A line of a daemon's log: the members that somebody here reads. */
export interface LogLine {
  /** Milliseconds since the epoch. */
  readonly time: number;
  readonly msg: string;
  readonly alarm?: string | undefined;
  readonly reason?: string | undefined;
  /** Secrets that an Envoy was sent, or acknowledged. */
  readonly secrets?: readonly { readonly name: string; readonly of: string }[] | undefined;
  /** SPIFFE IDs of SVIDs that were issued. */
  readonly ids?: readonly string[] | undefined;
}

const logLine: z.ZodType<LogLine> = z.object({
  time: z.string().transform((text) => Date.parse(text)),
  msg: z.string(),
  alarm: z.string().optional(),
  reason: z.string().optional(),
  secrets: z.array(z.object({ name: z.string(), of: z.string() })).optional(),
  ids: z.array(z.string()).optional(),
});

/** What a daemon has logged so far; lines that are none of its own (a crash's last words) are left out. */
export async function readLog(file: string): Promise<readonly LogLine[]> {
  const text = await readFile(file, "utf8").catch(() => "");
  return text.split("\n").flatMap((line) => {
    if (!line.startsWith("{") || !line.endsWith("}")) return [];
    const read = logLine.safeParse(JSON.parse(line));
    return read.success ? [read.data] : [];
  });
}

/** When an Envoy acknowledged the secret `name` for the first time since `since`, by the log of its node; undefined when it has not. */
export async function acknowledgedAt(
  file: string,
  { name, since }: { readonly name: string; readonly since: number },
): Promise<number | undefined> {
  const lines = await readLog(file);
  return lines.find(
    ({ time, msg, secrets }) =>
      time >= since &&
      msg === "secrets acknowledged" &&
      secrets?.some((secret) => secret.name === name) === true,
  )?.time;
}
