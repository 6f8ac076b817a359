import { Metadata } from "@grpc/grpc-js";
import { systemClock } from "../../kit/clock.ts";
import { deadlineIn } from "../../rpc/grpc-client.ts";
import {
  type ApplyEntriesRequest,
  type ApplyEntriesResponse,
  type CreateEntryRequest,
  type CreateEntryResponse,
  type DeleteEntryRequest,
  type DeleteEntryResponse,
  EntryServiceClient,
  type GetEntryRequest,
  type GetEntryResponse,
  type ListEntriesRequest,
  type ListEntriesResponse,
  type UpdateEntryRequest,
  type UpdateEntryResponse,
} from "../../wire/herald/v1/entries.ts";
import type { AdminChannel } from "../admin-channel.ts";

/** Which workloads get which identity. */
export interface EntryCalls {
  readonly createEntry: (request: CreateEntryRequest) => Promise<CreateEntryResponse>;
  readonly getEntry: (request: GetEntryRequest) => Promise<GetEntryResponse>;
  readonly listEntries: (request: ListEntriesRequest) => Promise<ListEntriesResponse>;
  readonly updateEntry: (request: UpdateEntryRequest) => Promise<UpdateEntryResponse>;
  readonly deleteEntry: (request: DeleteEntryRequest) => Promise<DeleteEntryResponse>;
  /** Sends a declaration in messages and gives those of the answer. */
  readonly applyEntries: (
    messages: readonly ApplyEntriesRequest[],
  ) => AsyncIterable<ApplyEntriesResponse>;
}

/** Ten thousand entries are on the issuer's disk and the broker's within it, also on slow ones. */
const applyWithinMs = 300_000;

export function entryCalls(channel: AdminChannel): EntryCalls {
  const client = channel.service(EntryServiceClient);
  const { call } = channel;
  return {
    createEntry: async (it) => await call((m, o, done) => client.createEntry(it, m, o, done)),
    getEntry: async (it) => await call((m, o, done) => client.getEntry(it, m, o, done)),
    listEntries: async (it) => await call((m, o, done) => client.listEntries(it, m, o, done)),
    updateEntry: async (it) => await call((m, o, done) => client.updateEntry(it, m, o, done)),
    deleteEntry: async (it) => await call((m, o, done) => client.deleteEntry(it, m, o, done)),
    applyEntries: (messages) => {
      const deadline = deadlineIn(systemClock, applyWithinMs);
      const stream = client.applyEntries(new Metadata(), { deadline });
      for (const message of messages) stream.write(message);
      stream.end();
      return channel.follow(stream, new AbortController().signal);
    },
  };
}
