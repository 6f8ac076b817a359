import type { Log, LogFields } from "../../src/kit/log.ts";

/** Keeps what was said; alarms are what tests ask for. */
export class RecordingLog implements Log {
  readonly lines: {
    readonly level: string;
    readonly message: string;
    readonly fields: LogFields;
  }[] = [];

  /** The kinds of alarm raised so far, in order. */
  get alarms(): readonly string[] {
    return this.lines.flatMap(({ fields }) =>
      typeof fields["alarm"] === "string" ? [fields["alarm"]] : [],
    );
  }

  debug(fields: LogFields, message: string): void {
    this.#keep("debug", fields, message);
  }

  info(fields: LogFields, message: string): void {
    this.#keep("info", fields, message);
  }

  warn(fields: LogFields, message: string): void {
    this.#keep("warn", fields, message);
  }

  error(fields: LogFields, message: string): void {
    this.#keep("error", fields, message);
  }

  #keep(level: string, fields: LogFields, message: string): void {
    this.lines.push({ level, message, fields });
  }
}
