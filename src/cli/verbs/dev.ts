import type { Command } from "commander";
import type { TrustDomain } from "../../core/spiffe/spiffe-id.ts";
import { trustDomain } from "../argument-parsers.ts";
import { addVerb, type Shop } from "../verb.ts";

interface DevOptions {
  readonly dir: string;
  readonly trustDomain: TrustDomain;
  readonly json?: true;
}

export function addDev(program: Command, shop: Shop): void {
  const verb = addVerb(program, {
    name: "dev",
    description: "run NATS, an issuer and a node on this machine, for development",
    examples: [
      "herald dev --dir ./herald-dev",
      "herald dev --dir ./herald-dev --trust-domain example.org --json",
    ],
  })
    .requiredOption("--dir <dir>", "where keys, state and logs are kept; made when missing")
    .option(
      "--trust-domain <name>",
      "name of the trust domain",
      trustDomain,
      trustDomain("example.org"),
    );
  verb.action(async () => {
    const { dir, trustDomain: name, json } = verb.opts<DevOptions>();
    const { runDev } = await import("../../daemon/dev.ts");
    shop.finish(await runDev({ dir, trustDomain: name, json: json === true }));
  });
}
