import { HeraldError } from "../kit/errors.ts";

/** Why a configuration file was not taken. */
export type ConfigErrorCode =
  /** The file is not there or may not be read. */
  | "CONFIG_UNREADABLE"
  /** It is not YAML. */
  | "CONFIG_SYNTAX"
  /** It is YAML, and says something that Herald does not understand or allow. */
  | "CONFIG_INVALID";

/** One thing that is wrong with a file, where it stands. */
export interface ConfigProblem {
  /** From 1; of the nearest thing that exists, when the key is missing. */
  readonly line: number;
  /** `nats.servers.0`; empty for the file as a whole. */
  readonly key: string;
  /** What is wrong and what to write instead. */
  readonly message: string;
}

/** A configuration file that cannot be used. Its text has one line a problem: `file:line: key: what is wrong; what to do`. */
export class ConfigError extends HeraldError<ConfigErrorCode> {
  readonly path: string;
  /** Empty when the file could not be read. */
  readonly problems: readonly ConfigProblem[];

  constructor(
    code: ConfigErrorCode,
    about: { readonly path: string; readonly problems: readonly ConfigProblem[] },
    options?: ErrorOptions & { readonly message?: string },
  ) {
    super(code, options?.message ?? linesOf(about.path, about.problems), options);
    this.path = about.path;
    this.problems = about.problems;
  }
}

function linesOf(path: string, problems: readonly ConfigProblem[]): string {
  return problems
    .map(({ line, key, message }) => `${path}:${line}: ${key === "" ? "" : `${key}: `}${message}`)
    .join("\n");
}
