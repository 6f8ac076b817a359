import type { Command } from "commander";
import type { SpiffeId } from "../../core/spiffe/spiffe-id.ts";
import type { Entry, ListEntriesRequest } from "../../wire/herald/v1/entries.ts";
import { count, givenId, labels, spiffeId, trustDomain } from "../argument-parsers.ts";
import {
  entryHeading,
  entryJson,
  entryLine,
  entryRow,
  shownEntry,
  wholeEntry,
} from "../entry-text.ts";
import { table } from "../table.ts";
import { addGroup, addVerb, type Shop, withAdmin } from "../verb.ts";
import { addEntryApply } from "./entry-apply.ts";
import { addEntryImport } from "./entry-import.ts";
import { addEntryCreate, addEntryUpdate } from "./entry-write.ts";

interface AdminOptions {
  readonly admin?: string;
  readonly json?: true;
}

interface ListOptions extends AdminOptions {
  readonly spiffeId?: string;
  readonly selector?: string;
  readonly node?: SpiffeId;
  readonly nodeLabel?: ReadonlyMap<string, string>;
  readonly hint?: string;
  readonly isAdmin?: true;
  readonly federatesWith?: string;
  readonly set?: string;
  readonly limit?: number;
  readonly pageToken?: string;
}

export function addEntry(program: Command, shop: Shop): void {
  const entry = addGroup(program, {
    name: "entry",
    description: "entries: who, on which nodes, gets which SPIFFE ID",
  });
  addEntryCreate(entry, shop);
  addShow(entry, shop);
  addList(entry, shop);
  addEntryUpdate(entry, shop);
  addDelete(entry, shop);
  addEntryApply(entry, shop);
  addEntryImport(entry, shop);
}

function addShow(entry: Command, { surroundings }: Shop): void {
  const verb = withAdmin(
    addVerb(entry, {
      name: "show <id>",
      description: "show all of one entry, with the revision that `entry update` wants",
      examples: ["herald entry show 5f1c2e"],
    }),
  );
  verb.action(async (id: string) => {
    const { admin: flag, json } = verb.opts<AdminOptions>();
    const { withIssuer } = await import("../admin-client.ts");
    const { entry: found } = await withIssuer(
      flag,
      surroundings,
      async (admin) => await admin.getEntry({ id }),
    );
    if (json === true || found === undefined) surroundings.out(entryLine(found));
    else surroundings.out(wholeEntry(found, surroundings.clock.now()));
  });
}

function addList(entry: Command, { surroundings }: Shop): void {
  const verb = withAdmin(
    addVerb(entry, {
      name: "list",
      description: "list entries; what is asked for must all hold",
      examples: [
        "herald entry list",
        "herald entry list --spiffe-id spiffe://example.org/web --json",
        "herald entry list --node spiffe://example.org/herald/node/join_token/east --limit 100",
      ],
    }),
  )
    .option("--spiffe-id <id>", "only those with this identity, or this template of one", givenId)
    .option("--selector <type:value>", "only those that want this selector")
    .option("--node <id>", "only those that hold on this node, by whatever selection", spiffeId)
    .option("--node-label <name=value>", "only those that select nodes by it; repeatable", labels)
    .option("--hint <text>", "only those with this hint")
    .option("--is-admin", "only admin entries")
    .option("--federates-with <trust domain>", "only those that are given its bundle", trustDomain)
    .option("--set <name>", "only those of this declared set")
    .option("--limit <number>", "at most so many, and a token for the next (default: all)", count)
    .option("--page-token <token>", "where the list before ended");
  verb.action(async () => {
    const options = verb.opts<ListOptions>();
    const { entries, next } = await listed(options, surroundings);
    if (options.json === true) {
      const page = next === "" ? {} : { nextPageToken: next };
      surroundings.out(`${JSON.stringify({ entries: entries.map(entryJson), ...page })}\n`);
      return;
    }
    const now = surroundings.clock.now();
    surroundings.out(
      entries.length === 0
        ? "no entries; `herald entry create` makes one\n"
        : table(
            entryHeading,
            entries.map((one) => entryRow(one, now)),
          ),
    );
    if (next !== "") surroundings.out(`there are more: --page-token ${next}\n`);
  });
}

/** All pages, or with a limit so much of them. */
async function listed(
  options: ListOptions,
  surroundings: Shop["surroundings"],
): Promise<{ readonly entries: readonly Entry[]; readonly next: string }> {
  const { limit = Number.POSITIVE_INFINITY, pageToken = "" } = options;
  const { withIssuer } = await import("../admin-client.ts");
  return await withIssuer(options.admin, surroundings, async (admin) => {
    const entries: Entry[] = [];
    let next = pageToken;
    do {
      const left = Math.min(limit - entries.length, 1000);
      const page = await admin.listEntries({ ...requestOf(options), limit: left, pageToken: next });
      entries.push(...page.entries);
      next = page.nextPageToken;
    } while (next !== "" && entries.length < limit);
    return { entries, next };
  });
}

function requestOf(options: ListOptions): Omit<ListEntriesRequest, "limit" | "pageToken"> {
  return {
    spiffeId: options.spiffeId ?? "",
    selector: options.selector ?? "",
    node: options.node ?? "",
    labels: new Map(options.nodeLabel),
    hint: options.hint ?? "",
    admin: options.isAdmin ?? false,
    federatesWith: options.federatesWith ?? "",
    set: options.set ?? "",
  };
}

function addDelete(entry: Command, { surroundings }: Shop): void {
  const verb = withAdmin(
    addVerb(entry, {
      name: "delete <id>",
      description: "delete an entry; SVIDs that were given live on until they expire",
      examples: ["herald entry delete 5f1c2e"],
    }),
  ).option("--revision <number>", "only if nobody has changed it since (default: in any case)");
  verb.action(async (id: string) => {
    const { admin: flag, json, revision = "" } = verb.opts<AdminOptions & { revision?: string }>();
    const { withIssuer } = await import("../admin-client.ts");
    const gone = await withIssuer(
      flag,
      surroundings,
      async (admin) => await admin.deleteEntry({ id, revision }),
    );
    surroundings.out(json === true ? entryLine(gone.entry) : shownEntry(gone.entry, "deleted"));
  });
}
