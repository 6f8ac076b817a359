import type { Entry, NodeSelection } from "../../core/policy/entry.ts";
import { parseSelector } from "../../core/spiffe/selector.ts";
import { parseSpiffeId, type SpiffeId } from "../../core/spiffe/spiffe-id.ts";
import type * as wire from "../../wire/herald/v1/entries.ts";
import { IssuerError, inField } from "../error.ts";
import type { Issuer } from "../issuer.ts";
import { type AdminOptions, unaryHandler } from "./admin-calls.ts";

/** Entries over the admin API. */
export function entryService(options: AdminOptions): wire.EntryServiceServer {
  const { issuer } = options;
  const unary = unaryHandler(options);
  return {
    createEntry: unary(async (request: wire.CreateEntryRequest, by) => ({
      entry: entryMessage(await issuer.createEntry(entryOf(request), by)),
    })),
    listEntries: unary((request: wire.ListEntriesRequest) => {
      const wanted = issuer.entries
        .list()
        .filter((entry) => request.spiffeId === "" || entry.spiffeId === request.spiffeId);
      return Promise.resolve({ entries: wanted.map(entryMessage) });
    }),
    deleteEntry: unary(async (request: wire.DeleteEntryRequest, by) => ({
      entry: entryMessage(await issuer.deleteEntry(request.id, by)),
    })),
  };
}

function entryOf(request: wire.CreateEntryRequest): Parameters<Issuer["createEntry"]>[0] {
  const { x509TtlSeconds, dnsNames, hint, priority } = request;
  const spiffeId = inField("spiffe_id", () => parseSpiffeId(request.spiffeId));
  return {
    spiffeId,
    nodes: selectionOf(request.nodes),
    selectors: request.selectors.map((selector, index) =>
      inField(`selectors[${index}]`, () => parseSelector(selector)),
    ),
    x509TtlSeconds,
    dnsNames,
    hint,
    priority,
  };
}

function nodeId(id: string, index: number): SpiffeId {
  return inField(`nodes.ids[${index}]`, () => parseSpiffeId(id));
}

function selectionOf(message: wire.NodeSelection | undefined): NodeSelection {
  if (message !== undefined && message.ids.length > 0 && message.labels.size > 0) {
    throw new IssuerError("ENTRY_INVALID", "nodes: select by ids or by labels, not both", {
      field: "nodes",
    });
  }
  if (message !== undefined && message.ids.length > 0)
    return { kind: "ids", ids: message.ids.map(nodeId) };
  if (message !== undefined && message.labels.size > 0)
    return { kind: "labels", labels: Object.fromEntries(message.labels) };
  return { kind: "all" };
}

function entryMessage(entry: Entry): wire.Entry {
  const { nodes } = entry;
  const selection = {
    ids: nodes.kind === "ids" ? nodes.ids : [],
    labels: new Map(nodes.kind === "labels" ? Object.entries(nodes.labels) : []),
  };
  return {
    ...entry,
    revision: String(entry.revision),
    nodes: selection,
    createdAt: BigInt(entry.createdAt),
  };
}
