import type { NewEntry } from "../../core/policy/entry.ts";
import type { Finding } from "../../core/policy/finding.ts";
import type * as wire from "../../wire/herald/v1/entries.ts";
import { listEntries } from "../entries/entry-list.ts";
import { applyHandler } from "./admin-apply.ts";
import { type AdminOptions, unaryHandler } from "./admin-calls.ts";
import {
  allowedOf,
  entryMessage,
  entryOf,
  filterOf,
  findingMessage,
  revisionOf,
} from "./entry-messages.ts";

/** Entries over the admin API. */
export function entryService(options: AdminOptions): wire.EntryServiceServer {
  const { issuer } = options;
  const { entries, entryOrders } = issuer;
  const unary = unaryHandler(options);
  const wanted = (spec: wire.EntrySpec | undefined): NewEntry => entryOf(spec, issuer.trustDomain);
  const warnings = (entry: NewEntry) =>
    doubts(entries.review(entry)).map((one) => findingMessage(one));
  return {
    createEntry: unary(async (request: wire.CreateEntryRequest, by) => {
      const entry = wanted(request.entry);
      const made = await entryOrders.create(entry, by, allowedOf(request.allow));
      return { entry: entryMessage(made), warnings: warnings(entry) };
    }),
    getEntry: unary(
      async (request: wire.GetEntryRequest) =>
        await Promise.resolve({ entry: entryMessage(entries.mustFind(request.id)) }),
    ),
    listEntries: unary((request: wire.ListEntriesRequest) => {
      const labelsOf: Parameters<typeof filterOf>[1] = (node) =>
        issuer.nodes.list().find((record) => record.node === node)?.labels ?? {};
      const page = { limit: request.limit, token: request.pageToken };
      const found = listEntries(entries.list(), filterOf(request, labelsOf), page);
      return Promise.resolve({
        entries: found.entries.map(entryMessage),
        nextPageToken: found.next,
      });
    }),
    updateEntry: unary(async (request: wire.UpdateEntryRequest, by) => {
      const entry = wanted(request.entry);
      const target = { id: request.id, revision: revisionOf(request.revision) };
      const change = { wanted: entry, allowed: allowedOf(request.allow) };
      const made = await entryOrders.update(target, change, by);
      return { entry: entryMessage(made), warnings: warnings(entry) };
    }),
    deleteEntry: unary(async ({ id, revision }: wire.DeleteEntryRequest, by) => {
      const target = revision === "" ? { id } : { id, revision: revisionOf(revision) };
      return { entry: entryMessage(await entryOrders.delete(target, by)) };
    }),
    applyEntries: applyHandler(options),
  };
}

/** What was taken and deserves a second look; what was overridden is one of it. */
function doubts(findings: readonly Finding[]): readonly Finding[] {
  return findings.filter(({ level }) => level !== "error");
}
