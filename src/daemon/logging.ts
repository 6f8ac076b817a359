import { type DestinationStream, pino } from "pino";
import type { Log } from "../kit/log.ts";

/** One JSON line an event on standard error (standard output belongs to ready lines and commands). Times are ISO 8601, for people and for joins. */
export function pinoLog(options: {
  readonly level: string;
  readonly name: string;
  readonly destination?: DestinationStream;
}): Log {
  const settings = {
    level: options.level,
    name: options.name,
    timestamp: pino.stdTimeFunctions.isoTime,
    base: { pid: process.pid },
  };
  const logger = pino(settings, options.destination ?? pino.destination({ fd: 2, sync: true }));
  return {
    debug: (fields, message) => logger.debug(fields, message),
    info: (fields, message) => logger.info(fields, message),
    warn: (fields, message) => logger.warn(fields, message),
    error: (fields, message) => logger.error(fields, message),
  };
}
