import { readFile, writeFile } from "node:fs/promises";
import { text } from "node:stream/consumers";
import { reasonOf } from "../kit/errors.ts";
import { CliError } from "./cli-error.ts";

/** A whole file; `-` is stdin. @throws {CliError} USAGE when it cannot be read */
export async function readText(path: string): Promise<string> {
  try {
    return path === "-" ? await text(process.stdin) : await readFile(path, "utf8");
  } catch (cause) {
    throw new CliError("USAGE", `cannot read ${path} (${reasonOf(cause)})`, {
      cause,
      cure: "name a file that is there",
    });
  }
}

/** @throws {CliError} FILE_FAILED */
export async function writeText(path: string, content: string): Promise<void> {
  try {
    await writeFile(path, content);
  } catch (cause) {
    throw new CliError("FILE_FAILED", `cannot write ${path} (${reasonOf(cause)})`, {
      cause,
      cure: "name a folder that is there and that you may write to",
    });
  }
}
