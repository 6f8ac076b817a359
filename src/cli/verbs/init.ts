import { type Command, Option } from "commander";
import type { TrustDomain } from "../../core/spiffe/spiffe-id.ts";
import type { SecretSource } from "../../kit/adapters/secret-source.ts";
import { hostPortText, port, secretSource, trustDomain } from "../argument-parsers.ts";
import { addVerb, type Shop } from "../verb.ts";

interface InitOptions {
  readonly dir: string;
  readonly trustDomain: TrustDomain;
  readonly natsHost: string;
  readonly natsPort: number;
  readonly httpsListen: string;
  readonly root: "online" | "offline";
  readonly sealingKey?: SecretSource;
  readonly json?: true;
}

export function addInit(program: Command, shop: Shop): void {
  const verb = addVerb(program, {
    name: "init",
    description:
      "make a trust domain: its control root, an issuer's keys and configuration, NATS's configuration",
    examples: ["herald init --dir /var/lib/herald/issuer --trust-domain example.org"],
  })
    .requiredOption("--dir <dir>", "where all of it is written; made when missing")
    .requiredOption("--trust-domain <name>", "name of the trust domain", trustDomain)
    .option(
      "--nats-host <host>",
      "where NATS listens and is found by issuer and nodes",
      "127.0.0.1",
    )
    .option("--nats-port <port>", "its port", port, 4222)
    .option("--https-listen <host:port>", "where nodes enrol", hostPortText, "127.0.0.1:8443")
    .addOption(
      new Option(
        "--root <where>",
        "whether the control root stays on the issuer or is to be taken away",
      )
        .choices(["online", "offline"])
        .default("online"),
    )
    .option(
      "--sealing-key <source>",
      "a key that seals all others: file:PATH, env:NAME or credential:NAME (default: one made in the folder)",
      secretSource,
    );
  verb.action(async () => {
    const { json, ...options } = verb.opts<InitOptions>();
    const { initIssuer } = await import("../../daemon/init.ts");
    const made = await initIssuer(options);
    const lines = [
      `The trust domain ${options.trustDomain} is made. Its pin, by which nodes know it:`,
      `  ${made.pin}`,
      "Written:",
      ...made.files.map((file) => `  ${file}`),
      "Next:",
      ...made.next.map((step) => `  ${step}`),
    ];
    shop.surroundings.out(json === true ? `${JSON.stringify(made)}\n` : `${lines.join("\n")}\n`);
  });
}
