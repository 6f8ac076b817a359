import { Command } from "commander";
import { CliError } from "./cli-error.ts";
import type { Shop } from "./verb.ts";
import { addAudit } from "./verbs/audit.ts";
import { addCa } from "./verbs/ca.ts";
import { addConfig } from "./verbs/config.ts";
import { addDev } from "./verbs/dev.ts";
import { addDoctor } from "./verbs/doctor.ts";
import { addEntry } from "./verbs/entry.ts";
import { addEnvoy } from "./verbs/envoy.ts";
import { addEvents } from "./verbs/events.ts";
import { addFetch } from "./verbs/fetch.ts";
import { addInit } from "./verbs/init.ts";
import { addIssuer } from "./verbs/issuer.ts";
import { addNode } from "./verbs/node.ts";
import { addSvid } from "./verbs/svid.ts";
import { addVersion, heraldVersion } from "./verbs/version.ts";

/** The whole command line. Nothing of the daemons or of gRPC is loaded before a verb runs. */
export function buildProgram(shop: Shop): Command {
  const { surroundings } = shop;
  const program = new Command("herald")
    .description("Workload identity that is pushed to every Envoy.")
    .version(heraldVersion(), "-V, --version", "print the version")
    // A verb with verbs below it (`node`) must not take their options for its own.
    .enablePositionalOptions()
    .configureOutput({
      writeOut: (text) => surroundings.out(text),
      // Help in place of an error, and errors: both are told once, by run.ts.
      writeErr: () => {},
      getOutHelpWidth: () => 100,
      getErrHelpWidth: () => 100,
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    })
    .exitOverride((error) => {
      if (error.exitCode === 0) throw error;
      const message =
        error.message === "(outputHelp)"
          ? "no verb was given"
          : error.message.replace(/^error: /, "");
      const text = message.replaceAll(/\s*\n\s*/g, " ");
      throw new CliError("USAGE", text, { cause: error, cure: "herald --help" });
    });
  for (const add of [addDev, addInit, addIssuer, addNode, addEntry, addCa, addEnvoy])
    add(program, shop);
  for (const add of [addSvid, addAudit, addEvents, addFetch, addDoctor, addConfig, addVersion])
    add(program, shop);
  return program;
}
