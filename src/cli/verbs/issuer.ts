import type { Command } from "commander";
import { addVerb, type Shop } from "../verb.ts";

export function addIssuer(program: Command, shop: Shop): void {
  const verb = addVerb(program, {
    name: "issuer",
    description: "run an issuer until SIGTERM; it logs in JSON",
    examples: ["herald issuer --config /etc/herald/issuer.yaml"],
  }).requiredOption("--config <file>", "its configuration, YAML");
  verb.action(async () => {
    const { config } = verb.opts<{ readonly config: string }>();
    const { runIssuer } = await import("../../daemon/issuer.ts");
    shop.finish(await runIssuer({ configPath: config }));
  });
}
