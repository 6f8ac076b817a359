import type { Log, LogFields } from "../../../src/kit/log.ts";

/** What was logged, for tests that look for an alarm or for what must never be logged. */
export class RecordedLog implements Log {
  readonly lines: {
    readonly level: string;
    readonly fields: LogFields;
    readonly message: string;
  }[] = [];

  debug(fields: LogFields, message: string): void {
    this.lines.push({ level: "debug", fields, message });
  }

  info(fields: LogFields, message: string): void {
    this.lines.push({ level: "info", fields, message });
  }

  warn(fields: LogFields, message: string): void {
    this.lines.push({ level: "warn", fields, message });
  }

  error(fields: LogFields, message: string): void {
    this.lines.push({ level: "error", fields, message });
  }

  /** The alarms raised, in order. */
  get alarms(): readonly unknown[] {
    return this.lines.flatMap(({ fields }) => ("alarm" in fields ? [fields["alarm"]] : []));
  }
}
