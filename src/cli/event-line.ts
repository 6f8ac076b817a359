import { z } from "zod";
import type { TailEventsResponse } from "../wire/herald/v1/admin.ts";

const cloudEvent = z.object({
  time: z.string().optional(),
  type: z.string(),
  subject: z.string().optional(),
  data: z.record(z.string(), z.unknown()).optional(),
});

/** One line: sequence, time, type, subject, and the simple members of its data. */
export function printEvent({ sequence, event }: TailEventsResponse): string {
  const read = cloudEvent.safeParse(jsonOf(event));
  if (!read.success) return `${sequence}  (not a CloudEvent) ${JSON.stringify(event)}\n`;
  const { time = "-", type, subject = "-", data = {} } = read.data;
  const members = Object.entries(data)
    .filter(([, value]) => ["string", "number", "boolean"].includes(typeof value))
    .map(([name, value]) => `${name}=${String(value)}`);
  const line = [String(sequence), time, type, subject, ...members].join("  ");
  // An event is written by whoever may publish: no control characters on a terminal.
  return `${line.replaceAll(/\p{Cc}/gu, "?")}\n`;
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
