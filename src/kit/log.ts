/** Structured logging as the rooms see it; pino stands behind it in the daemons. Fields never hold key material. */
export interface Log {
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
}

export type LogFields = Readonly<Record<string, unknown>>;

/** For tests, and for parts that have nothing to say. */
export const silentLog: Log = { debug() {}, info() {}, warn() {}, error() {} };
