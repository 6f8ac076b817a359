import type { ServerDuplexStream } from "@grpc/grpc-js";
import { type EntrySpec, givenId, type NewEntry } from "../../core/policy/entry.ts";
import {
  type ApplyEntriesRequest,
  type ApplyEntriesResponse,
  type ApplySummary,
  type Declaration as DeclarationMessage,
  type EntryChange,
  EntryChangeKind,
  type LintFinding,
} from "../../wire/herald/v1/entries.ts";
import type { Applied, Declaration } from "../entries/declaration.ts";
import { IssuerError } from "../error.ts";
import { type AdminOptions, failure } from "./admin-calls.ts";
import { allowedOf, entryOf, findingMessage } from "./entry-messages.ts";

/** A message has to stay below gRPC's 4 MiB. */
const changesInMessage = 500;
/** More than this nobody reads. */
const mostWarnings = 100;
/** A declaration is held in memory as a whole. */
const mostEntries = 100_000;

type ApplyCall = ServerDuplexStream<ApplyEntriesRequest, ApplyEntriesResponse>;

/** Takes a declaration in as many messages as it needs, and answers likewise. */
export function applyHandler(options: AdminOptions): (call: ApplyCall) => void {
  return (call) => {
    const answered = async (): Promise<void> => {
      try {
        const by = await options.operatorOf(call);
        const { header, wanted } = await received(call, options);
        const declaration: Declaration = {
          set: header.set,
          prune: header.prune,
          allowed: allowedOf(header.allow),
          wanted,
        };
        const applied = header.dryRun
          ? options.issuer.entries.plan(declaration)
          : await options.issuer.entryOrders.apply(declaration, by);
        for (const message of messages(applied, declaration)) call.write(message);
        call.end();
      } catch (thrown) {
        call.emit("error", failure(thrown, options.log));
      }
    };
    void answered();
  };
}

async function received(
  call: ApplyCall,
  { issuer }: AdminOptions,
): Promise<{ readonly header: DeclarationMessage; readonly wanted: readonly NewEntry[] }> {
  let header: DeclarationMessage | undefined;
  const wanted: NewEntry[] = [];
  // The answer goes the same way: reading to the end must not end the call.
  const messages = call.iterator({ destroyOnReturn: false });
  for await (const message of messages as AsyncIterable<ApplyEntriesRequest>) {
    header ??= message.declaration;
    for (const spec of message.entries) {
      try {
        wanted.push(entryOf(spec, issuer.trustDomain));
      } catch (thrown) {
        throw placed(thrown, spec.name === "" ? spec.spiffeId : spec.name, wanted.length + 1);
      }
    }
    if (wanted.length > mostEntries)
      throw new IssuerError(
        "ENTRY_INVALID",
        `entries: more than ${mostEntries}; make two sets of them`,
      );
  }
  if (header !== undefined) return { header, wanted };
  throw new IssuerError(
    "ENTRY_INVALID",
    "declaration: is missing; the first message tells the set",
  );
}

function placed(thrown: unknown, name: string, place: number): unknown {
  if (!(thrown instanceof Error)) return thrown;
  return new IssuerError(
    "ENTRY_INVALID",
    `entry ${place} (${name.slice(0, 200)}): ${thrown.message}`,
    {
      cause: thrown,
    },
  );
}

function messages(applied: Applied, declaration: Declaration): readonly ApplyEntriesResponse[] {
  const changes = applied.steps.flatMap((step): readonly EntryChange[] => {
    switch (step.kind) {
      case "unchanged":
        return [];
      case "create":
        return [change(EntryChangeKind.CREATE, step.wanted, "")];
      case "update":
        return [
          { ...change(EntryChangeKind.UPDATE, step.wanted, step.held.id), fields: step.fields },
        ];
      case "undeclared": {
        const kind = declaration.prune ? EntryChangeKind.DELETE : EntryChangeKind.LEFT;
        return [change(kind, step.held, step.held.id)];
      }
    }
  });
  const parts: ApplyEntriesResponse[] = [];
  for (let start = 0; start < changes.length; start += changesInMessage)
    parts.push({ changes: changes.slice(start, start + changesInMessage), summary: undefined });
  return [...parts, { changes: [], summary: summaryOf(applied, declaration) }];
}

function change(kind: EntryChangeKind, entry: EntrySpec, id: string): EntryChange {
  return { kind, id, name: entry.name, spiffeId: givenId(entry), fields: [] };
}

function summaryOf({ steps, findings }: Applied, { prune, wanted }: Declaration): ApplySummary {
  const count = (kind: string): number => steps.filter((step) => step.kind === kind).length;
  const undeclared = count("undeclared");
  const warnings = findings.flatMap((found, at): readonly LintFinding[] => {
    const [entry] = wanted.slice(at, at + 1);
    const name = entry === undefined ? "" : entry.name || givenId({ template: "", ...entry });
    return found.map((finding) => findingMessage(finding, name));
  });
  return {
    created: count("create"),
    updated: count("update"),
    deleted: prune ? undeclared : 0,
    left: prune ? 0 : undeclared,
    unchanged: count("unchanged"),
    warnings: warnings.slice(0, mostWarnings),
  };
}
