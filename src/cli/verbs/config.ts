import type { Command } from "commander";
import { addGroup, addVerb, type Shop } from "../verb.ts";

export function addConfig(program: Command, { surroundings }: Shop): void {
  const config = addGroup(program, { name: "config", description: "configuration files" });
  const verb = addVerb(config, {
    name: "check <file>",
    description: "read the configuration of an issuer or a node and tell all that is wrong with it",
    examples: ["herald config check /etc/herald/node.yaml"],
  });
  verb.action(async (file: string) => {
    const { json } = verb.opts<{ readonly json?: true }>();
    const { loadAnyConfig } = await import("../../daemon/config.ts");
    const { kind, config: read } = loadAnyConfig(file);
    // With --json everything as the daemon would see it, defaults filled in; files are named, never read.
    surroundings.out(
      json === true
        ? `${JSON.stringify({ kind, config: read })}\n`
        : `${file} is a good configuration of ${kind === "issuer" ? "an issuer" : "a node"} of ${read.trustDomain}\n`,
    );
  });
}
