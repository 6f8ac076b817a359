import {
  type CreateEntryRequest,
  type CreateEntryResponse,
  type DeleteEntryRequest,
  type DeleteEntryResponse,
  EntryServiceClient,
  type ListEntriesRequest,
  type ListEntriesResponse,
} from "../../wire/herald/v1/entries.ts";
import type { AdminChannel } from "../admin-channel.ts";

/** Which workloads get which identity. */
export interface EntryCalls {
  readonly createEntry: (request: CreateEntryRequest) => Promise<CreateEntryResponse>;
  readonly listEntries: (request: ListEntriesRequest) => Promise<ListEntriesResponse>;
  readonly deleteEntry: (request: DeleteEntryRequest) => Promise<DeleteEntryResponse>;
}

export function entryCalls(channel: AdminChannel): EntryCalls {
  const client = channel.service(EntryServiceClient);
  const { call } = channel;
  return {
    createEntry: async (it) => await call((m, o, done) => client.createEntry(it, m, o, done)),
    listEntries: async (it) => await call((m, o, done) => client.listEntries(it, m, o, done)),
    deleteEntry: async (it) => await call((m, o, done) => client.deleteEntry(it, m, o, done)),
  };
}
