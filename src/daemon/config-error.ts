import {
  type Document,
  isCollection,
  isMap,
  isNode,
  isScalar,
  LineCounter,
  type Node,
  parseDocument,
} from "yaml";
import type { z } from "zod";
import { HeraldError, reasonOf } from "../kit/errors.ts";

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

/** The text of one configuration file, which knows where in it each key stands. */
export class ConfigSource {
  readonly path: string;
  readonly #lines = new LineCounter();
  readonly #document: Document.Parsed;

  /** @throws {ConfigError} CONFIG_SYNTAX */
  constructor(path: string, text: string) {
    this.path = path;
    this.#document = parseDocument(text, { lineCounter: this.#lines, prettyErrors: false });
    const faults = [...this.#document.errors, ...this.#document.warnings];
    if (faults.length === 0) return;
    const problems = faults.map(({ message, pos }) => ({
      line: this.#lines.linePos(pos[0]).line,
      key: "",
      message: `is not YAML that Herald reads (${message}); correct this line or the one above`,
    }));
    throw new ConfigError("CONFIG_SYNTAX", { path, problems });
  }

  /** Whether a key stands at the top. */
  has(key: string): boolean {
    return isMap(this.#document.contents) && this.#document.has(key);
  }

  /**
   * The file as `schema` reads it.
   * @throws {ConfigError} CONFIG_SYNTAX, CONFIG_INVALID with everything that is wrong, in the order of lines
   */
  check<T>(schema: z.ZodType<T>): T {
    const read = schema.safeParse(this.#value());
    if (read.success) return read.data;
    const problems = read.error.issues
      .flatMap((issue) =>
        issue.code === "unrecognized_keys"
          ? issue.keys.map((key) => this.#problem([...issue.path, key], issue.message))
          : [this.#problem(issue.path, issue.message)],
      )
      .toSorted((a, b) => a.line - b.line);
    throw new ConfigError("CONFIG_INVALID", { path: this.path, problems });
  }

  /** To be thrown: what is wrong with the value at `key`. */
  refuse(key: readonly PropertyKey[], message: string): ConfigError {
    const problems = [this.#problem(key, message)];
    return new ConfigError("CONFIG_INVALID", { path: this.path, problems });
  }

  #value(): unknown {
    try {
      return this.#document.toJS();
    } catch (cause) {
      // An alias without its anchor, or a bomb of aliases.
      const problems = [{ line: 1, key: "", message: `${reasonOf(cause)}; write it out` }];
      throw new ConfigError("CONFIG_SYNTAX", { path: this.path, problems }, { cause });
    }
  }

  #problem(key: readonly PropertyKey[], message: string): ConfigProblem {
    return { line: this.#lineOf(key), key: key.map(String).join("."), message };
  }

  /** Of the key itself, or of the nearest mapping above it that is there. */
  #lineOf(key: readonly PropertyKey[]): number {
    let line = 1;
    let node: Node | null = this.#document.contents;
    for (const part of key) {
      const next: Node | undefined = markOf(node, part);
      if (next === undefined) break;
      line = this.#lines.linePos(next.range?.[0] ?? 0).line;
      node = valueOf(node, part);
    }
    return line;
  }
}

/** What tells where a member stands: the key of a mapping's pair, the item of a list. */
function markOf(node: Node | null, part: PropertyKey): Node | undefined {
  if (!isMap(node)) return valueOf(node, part) ?? undefined;
  const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === String(part));
  return isNode(pair?.key) ? pair.key : undefined;
}

function valueOf(node: Node | null, part: PropertyKey): Node | null {
  if (!isCollection(node) || typeof part === "symbol") return null;
  const value: unknown = node.get(part, true);
  return isNode(value) ? value : null;
}
