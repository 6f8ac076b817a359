import {
  type ApplyEntriesRequest,
  type ApplySummary,
  type EntryChange,
  EntryChangeKind,
  type EntrySpec,
} from "../wire/herald/v1/entries.ts";
import { CliError } from "./cli-error.ts";
import { warningLines } from "./entry-text.ts";
import type { Surroundings } from "./surroundings.ts";
import type { Shop } from "./verb.ts";

/** What is to be done with a list of entries. */
export interface ApplyOrder {
  readonly admin: string | undefined;
  readonly json: boolean;
  readonly set: string;
  readonly prune: boolean;
  readonly dryRun: boolean;
  readonly allow: readonly string[];
  /** End with {@link changedExitCode} when something changed, or would. */
  readonly tellsByExitCode: boolean;
}

/** For CI: there was, or would be, something to do. */
const changedExitCode = 3;

/** Below gRPC's 4 MiB, whatever the entries hold. */
const entriesInMessage = 100;

const signs: Readonly<Record<EntryChangeKind, string>> = {
  [EntryChangeKind.UNSPECIFIED]: "?",
  [EntryChangeKind.CREATE]: "+",
  [EntryChangeKind.UPDATE]: "~",
  [EntryChangeKind.DELETE]: "-",
  [EntryChangeKind.LEFT]: "!",
  [EntryChangeKind.UNRECOGNIZED]: "?",
};

const words: Readonly<Record<string, string>> = {
  "+": "create",
  "~": "update",
  "-": "delete",
  "!": "left",
  "?": "unknown",
};

/** Makes a set of entries as it is declared, and shows what that changes. */
export async function applyEntries(
  order: ApplyOrder,
  entries: readonly EntrySpec[],
  { surroundings, finish }: Shop,
): Promise<void> {
  const { changes, summary } = await answered(order, entries, surroundings);
  const isChanged = summary.created + summary.updated + summary.deleted > 0;
  if (order.json) surroundings.out(`${JSON.stringify(jsonOf(order, changes, summary))}\n`);
  else {
    surroundings.err(warningLines(summary.warnings));
    surroundings.out([...changes.map(changeLine), summaryLine(order, summary)].join(""));
  }
  if (order.tellsByExitCode && isChanged) finish(changedExitCode);
}

async function answered(
  order: ApplyOrder,
  entries: readonly EntrySpec[],
  surroundings: Surroundings,
): Promise<{ readonly changes: readonly EntryChange[]; readonly summary: ApplySummary }> {
  const { withIssuer } = await import("./admin-client.ts");
  return await withIssuer(order.admin, surroundings, async (admin) => {
    const changes: EntryChange[] = [];
    let summary: ApplySummary | undefined;
    for await (const message of admin.applyEntries(messagesOf(order, entries))) {
      changes.push(...message.changes);
      summary = message.summary ?? summary;
    }
    if (summary !== undefined) return { changes, summary };
    throw new CliError(
      "ADMIN_REFUSED",
      "the issuer's answer ended early; whether it applied the set is not known",
      {
        cure: "look by --dry-run",
      },
    );
  });
}

function messagesOf(
  { set, prune, dryRun, allow }: ApplyOrder,
  entries: readonly EntrySpec[],
): readonly ApplyEntriesRequest[] {
  const messages: ApplyEntriesRequest[] = [
    { declaration: { set, prune, dryRun, allow }, entries: [] },
  ];
  for (let start = 0; start < entries.length; start += entriesInMessage)
    messages.push({
      declaration: undefined,
      entries: entries.slice(start, start + entriesInMessage),
    });
  return messages;
}

function changeLine({ kind, id, name, spiffeId, fields }: EntryChange): string {
  const what = [name, spiffeId].filter((text) => text !== "").join("  ");
  const whose = id === "" ? "" : `  (${id})`;
  return `${signs[kind]} ${what}${whose}${fields.length === 0 ? "" : `  ${fields.join(", ")}`}\n`;
}

function summaryLine({ set, dryRun }: ApplyOrder, summary: ApplySummary): string {
  const { created, updated, deleted, unchanged, left } = summary;
  const would = dryRun ? "would be " : "";
  const rest = left === 0 ? "" : `; ${left} of the set are not in the file, --prune deletes them`;
  return `${set}: ${created} ${would}created, ${updated} ${would}updated, ${deleted} ${would}deleted, ${unchanged} unchanged${rest}\n`;
}

function jsonOf(
  { set, dryRun }: ApplyOrder,
  changes: readonly EntryChange[],
  summary: ApplySummary,
): unknown {
  const told = changes.map(({ kind, ...change }) => ({ change: words[signs[kind]], ...change }));
  return { set, dryRun, ...summary, changes: told };
}
