import { type Command, InvalidArgumentError } from "commander";
import { applyEntries } from "../apply-entries.ts";
import { texts } from "../argument-parsers.ts";
import { CliError } from "../cli-error.ts";
import { type FileEntry, printEntryFile, specOfFile } from "../entry-file.ts";
import { lintFileEntry, type ParentMap, parseParent, readSpireEntries } from "../spire-entries.ts";
import type { Surroundings } from "../surroundings.ts";
import { readText, writeText } from "../text-file.ts";
import { addVerb, type Shop, withAdmin } from "../verb.ts";

interface ImportOptions {
  readonly admin?: string;
  readonly json?: true;
  readonly map?: ParentMap;
  readonly set: string;
  readonly toFile?: string;
  readonly skipUnsupported?: true;
  readonly prune?: true;
  readonly dryRun?: true;
  readonly allow?: readonly string[];
}

export function addEntryImport(entry: Command, shop: Shop): void {
  const verb = withAdmin(
    addVerb(entry, {
      name: "import <file>",
      description:
        "take over the entries of a SPIRE server: what `spire-server entry show -output json` printed, as a declared set",
      examples: [
        "herald entry import spire.json --map spiffe://example.org/k8s/cluster=label:cluster=demo --to-file entries.yaml",
        "herald entry import spire.json --map '*=all' --skip-unsupported --dry-run",
      ],
    }),
  )
    .option(
      "--map <parent=nodes>",
      "on which nodes the entries of a SPIRE parent hold: PARENT=label:NAME=VALUE, =node:SPIFFE-ID or =all; * for every other; repeatable",
      parents,
    )
    .option("--set <name>", "whose entries these are from now on", "spire")
    .option("--to-file <path>", "only write a file for `entry apply`; - for stdout")
    .option("--skip-unsupported", "leave out, and name, what cannot be taken over")
    .option("--prune", "delete entries of the set that are not in the file")
    .option("--dry-run", "only show what would change")
    .option("--allow <rule>", "override a rule of the linter; repeatable, and recorded", texts);
  verb.action(async (path: string) => {
    const options = verb.opts<ImportOptions>();
    const { surroundings } = shop;
    const entries = takenOver(path, await readText(path), { ...options, surroundings });
    if (options.toFile === "-") surroundings.out(printEntryFile(entries));
    else if (options.toFile !== undefined) {
      await writeText(options.toFile, printEntryFile(entries));
      surroundings.out(
        `${options.toFile}: ${entries.length} entries; herald entry apply --file ${options.toFile} --set ${options.set}\n`,
      );
    } else {
      const order = {
        admin: options.admin,
        json: options.json === true,
        set: options.set,
        prune: options.prune === true,
        dryRun: options.dryRun === true,
        allow: options.allow ?? [],
        tellsByExitCode: false,
      };
      await applyEntries(order, entries.map(specOfFile), shop);
    }
  });
}

/** Entries that have a counterpart and that the linter takes. @throws {CliError} USAGE naming those that do not, unless they are to be skipped */
function takenOver(
  path: string,
  text: string,
  how: Pick<ImportOptions, "map" | "allow" | "skipUnsupported"> & {
    readonly surroundings: Surroundings;
  },
): readonly FileEntry[] {
  const { surroundings } = how;
  const found = readSpireEntries(path, text, how.map ?? new Map());
  const lint = { allowed: new Set(how.allow), now: surroundings.clock.now() };
  const entries: FileEntry[] = [];
  const left = found.unsupported.map(({ id, spiffeId, reason }) => `${id} ${spiffeId}: ${reason}`);
  for (const entry of found.entries) {
    const refusal = lintFileEntry(entry, lint);
    if (refusal === undefined) entries.push(entry);
    else left.push(`${entry.name?.replace("spire/", "") ?? ""} ${entry.spiffeId}: ${refusal}`);
  }
  for (const alias of found.aliases)
    surroundings.err(
      `node alias ${alias}: label its nodes, and --map it; it is no entry of a workload\n`,
    );
  if (left.length === 0) return entries;
  for (const line of left) surroundings.err(`${line}\n`);
  if (how.skipUnsupported === true) {
    surroundings.err(`${left.length} of ${left.length + entries.length} entries are left out\n`);
    return entries;
  }
  throw new CliError("USAGE", `${left.length} entries of ${path} cannot be taken over`, {
    cure: "see the lines above, or leave these out by --skip-unsupported",
  });
}

function parents(text: string, before: ParentMap | undefined): ParentMap {
  const parsed = parseParent(text);
  if (parsed === undefined) {
    throw new InvalidArgumentError(
      "Write PARENT=label:NAME=VALUE, PARENT=node:SPIFFE-ID or PARENT=all, with the parent's SPIFFE ID or *.",
    );
  }
  const [parent, nodes] = parsed;
  if (before?.has(parent) === true)
    throw new InvalidArgumentError(`"${parent}" was given already.`);
  return new Map([...(before ?? []), [parent, nodes]]);
}
