import type { Command } from "commander";
import { CliError } from "./cli-error.ts";
import type { Surroundings } from "./surroundings.ts";

/** What every verb is made with. */
export interface Shop {
  readonly surroundings: Surroundings;
  /** Tells with which code to exit; 0 unless told. */
  readonly finish: (exitCode: number) => void;
}

/** A verb's name and what its help says beside its options. */
export interface VerbText {
  /** With its arguments: `delete <id>`. */
  readonly name: string;
  readonly description: string;
  /** Command lines, without a prompt. */
  readonly examples: readonly string[];
}

/** Adds a verb with what all of them have: `--json`, an example in the help, and itself in usage errors. */
export function addVerb(parent: Command, text: VerbText): Command {
  const verb = addGroup(parent, text).option("--json", "answer, and tell of errors, in JSON");
  const examples = text.examples.map((line) => `  $ ${line}\n`).join("");
  verb.addHelpText(
    "after",
    `\nExample${text.examples.length > 1 ? "s" : ""}:\n${examples.trimEnd()}`,
  );
  return verb;
}

/** Adds a command that only has verbs below it. */
export function addGroup(parent: Command, text: Omit<VerbText, "examples">): Command {
  const group = parent.command(text.name).description(text.description);
  return group.exitOverride((error) => {
    if (error.exitCode === 0) throw error;
    throw new CliError("USAGE", usageMessage(error.message, pathOf(group)), {
      cause: error,
      cure: `${pathOf(group)} --help`,
    });
  });
}

/** Adds the options by which verbs find their issuer. */
export function withAdmin(verb: Command): Command {
  return verb
    .option(
      "--admin <address>",
      "the issuer's admin socket, unix:///path, or its admin port, tls://host:port (default: HERALD_ADMIN, else unix:///run/herald/admin.sock, else the last `herald dev`)",
    )
    .option(
      "--svid-dir <dir>",
      "for an admin port: show the SVID that `herald fetch x509 --write` put there",
    )
    .option(
      "--workload-socket <address>",
      "for an admin port: show the SVID that is had here (default: SPIFFE_ENDPOINT_SOCKET, else unix:///run/herald/herald.sock)",
    )
    .hook("preAction", (command) => {
      const { admin = "", svidDir, workloadSocket } = command.opts<AdminOptions>();
      const query = new URLSearchParams();
      if (svidDir !== undefined) query.set("svid-dir", svidDir);
      if (workloadSocket !== undefined) query.set("workload-socket", workloadSocket);
      // An address says all of it, so that no verb has to pass the parts on.
      if (query.size > 0) command.setOptionValue("admin", `${admin}?${query.toString()}`);
    });
}

interface AdminOptions {
  readonly admin?: string;
  readonly svidDir?: string;
  readonly workloadSocket?: string;
}

/** `herald entry create` */
function pathOf(command: Command): string {
  return command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`;
}

/** Commander says `error: …`, for a missing verb the whole help text. */
function usageMessage(message: string, path: string): string {
  if (message === "(outputHelp)") return `${path} needs to be told what to do`;
  return message.replace(/^error: /, "").replaceAll(/\s*\n\s*/g, " ");
}
