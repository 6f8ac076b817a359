import { readFileSync } from "node:fs";
import type { Command } from "commander";
import { z } from "zod";
import { addVerb, type Shop } from "../verb.ts";

/** Of this package; the file lies as far above `src/cli/verbs` as above `dist/cli/verbs`. */
export function heraldVersion(): string {
  const text = readFileSync(new URL("../../../package.json", import.meta.url), "utf8");
  return z.object({ version: z.string() }).parse(JSON.parse(text)).version;
}

export function addVersion(program: Command, shop: Shop): void {
  const verb = addVerb(program, {
    name: "version",
    description: "print the version of Herald and of the Node.js that runs it",
    examples: ["herald version"],
  });
  verb.action(() => {
    const { json } = verb.opts<{ readonly json?: true }>();
    const versions = { herald: heraldVersion(), node: process.versions.node };
    shop.surroundings.out(
      json === true
        ? `${JSON.stringify(versions)}\n`
        : `herald ${versions.herald} (Node.js ${versions.node})\n`,
    );
  });
}
