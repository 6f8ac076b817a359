import type { Command } from "commander";
import { applyEntries } from "../apply-entries.ts";
import { texts } from "../argument-parsers.ts";
import { parseEntryFile } from "../entry-file.ts";
import { readText } from "../text-file.ts";
import { addVerb, type Shop, withAdmin } from "../verb.ts";

interface ApplyOptions {
  readonly admin?: string;
  readonly json?: true;
  readonly file: string;
  readonly set: string;
  readonly prune?: true;
  readonly dryRun?: true;
  readonly allow?: readonly string[];
  readonly exitCode?: true;
}

export function addEntryApply(entry: Command, shop: Shop): void {
  const verb = withAdmin(
    addVerb(entry, {
      name: "apply",
      description:
        "make a set of entries as a file declares it: all of it at once, or not at all (docs/entries.md)",
      examples: [
        "herald entry apply --file entries.yaml --dry-run",
        "herald entry apply --file entries.yaml --set team-shop --prune",
      ],
    }),
  )
    .requiredOption("-f, --file <path>", "list of entries in YAML or JSON; - for stdin")
    .option("--set <name>", "whose entries these are; those of other sets stay", "default")
    .option("--prune", "delete entries of the set that the file does not declare")
    .option("--dry-run", "only show what would change")
    .option("--exit-code", "end with 3 when something changed, or would")
    .option("--allow <rule>", "override a rule of the linter; repeatable, and recorded", texts);
  verb.action(async () => {
    const options = verb.opts<ApplyOptions>();
    const order = {
      admin: options.admin,
      json: options.json === true,
      set: options.set,
      prune: options.prune === true,
      dryRun: options.dryRun === true,
      allow: options.allow ?? [],
      tellsByExitCode: options.exitCode === true,
    };
    const entries = parseEntryFile(options.file, await readText(options.file));
    await applyEntries(order, entries, shop);
  });
}
