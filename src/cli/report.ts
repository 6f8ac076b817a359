import { CommanderError } from "commander";
import { ConfigError } from "../daemon/config-error.ts";
import { HeraldError, reasonOf } from "../kit/errors.ts";
import { CliError } from "./cli-error.ts";
import { exitCode } from "./exit-code.ts";

/** An error as a person or a program is told of it. */
export interface Report {
  readonly exitCode: number;
  readonly code: string;
  readonly message: string;
  readonly cure: string | undefined;
  /** Further lines between message and cure. */
  readonly details: readonly string[];
  /** The member of a request that is at fault, where the issuer named one. */
  readonly field?: string | undefined;
}

/** Anything thrown, made ready to be shown. */
export function reportOf(thrown: unknown): Report {
  if (thrown instanceof ConfigError) return configReport(thrown);
  if (thrown instanceof CliError) {
    const { code, message, cure, reason, field } = thrown;
    const exit = code === "USAGE" ? exitCode.usage : exitCode.failed;
    const details = field === undefined ? [] : [`field: ${field}`];
    return { exitCode: exit, code: reason ?? code, message, cure, details, field };
  }
  if (thrown instanceof CommanderError) return usageReport(thrown);
  const code = thrown instanceof HeraldError ? String(thrown.code) : "UNEXPECTED";
  // The cure is in the error's own sentence; what caused it goes behind what happened.
  const { message, cure } = splitCure(thrown instanceof Error ? thrown.message : reasonOf(thrown));
  const details =
    thrown instanceof Error && thrown.cause !== undefined
      ? [`cause: ${reasonOf(thrown.cause)}`]
      : [];
  return { exitCode: exitCode.failed, code, message, cure, details };
}

/** `herald: what happened` and `  try: what to do`, or one line of JSON. */
export function printReport(report: Report, json: boolean): string {
  const { code, message, cure, details, field } = report;
  if (json) {
    const full = [message, ...(field === undefined ? details : [])].join("\n");
    return `${JSON.stringify({ error: { code, message: full, field, cure } })}\n`;
  }
  const lines = [`herald: ${message}`, ...details.map((line) => `  ${line}`)];
  return `${[...lines, ...(cure === undefined ? [] : [`  try: ${cure}`])].join("\n")}\n`;
}

/** Herald's messages are "what happened; what to do" (kit/errors.ts): the part after the last semicolon is the cure. */
export function splitCure(text: string): {
  readonly message: string;
  readonly cure: string | undefined;
} {
  const at = text.lastIndexOf("; ");
  if (at === -1) return { message: text, cure: undefined };
  return { message: text.slice(0, at), cure: text.slice(at + 2) };
}

function configReport(error: ConfigError): Report {
  if (error.problems.length === 0) {
    const { message, cure } = splitCure(error.message);
    return { exitCode: exitCode.usage, code: error.code, message, cure, details: [] };
  }
  return {
    exitCode: exitCode.usage,
    code: error.code,
    message: `the configuration ${error.path} cannot be used`,
    details: error.message.split("\n"),
    cure: `correct the lines named, then: herald config check ${error.path}`,
  };
}

/** Commander prints `error: …` and, on a second line, what was perhaps meant. */
function usageReport(error: CommanderError): Report {
  const [message = "", ...more] = error.message.replace(/^error: /, "").split("\n");
  return { exitCode: exitCode.usage, code: "USAGE", message, cure: undefined, details: more };
}
