import {
  type ApplyEntriesRequest,
  type ApplyEntriesResponse,
  ApplySummary,
  EntryChange,
  EntryChangeKind,
  type EntrySpec,
} from "../../../src/wire/herald/v1/entries.ts";
import { fakeAdmin } from "./fake-admin.ts";

const blank = new Uint8Array();

/** An issuer that finds one of each change, and keeps what it was sent. */
export async function applying(sent: ApplyEntriesRequest[]): ReturnType<typeof fakeAdmin> {
  const change = (kind: EntryChangeKind, name: string, fields: readonly string[] = []) => ({
    ...EntryChange.decode(blank),
    kind,
    name,
    spiffeId: `spiffe://example.org/${name}`,
    fields,
  });
  const answer: readonly ApplyEntriesResponse[] = [
    { changes: [change(EntryChangeKind.CREATE, "a")], summary: undefined },
    { changes: [change(EntryChangeKind.UPDATE, "b", ["hint"])], summary: undefined },
    {
      changes: [change(EntryChangeKind.LEFT, "c")],
      summary: { ...ApplySummary.decode(blank), created: 1, updated: 1, left: 1, unchanged: 2 },
    },
  ];
  return await fakeAdmin({
    applyEntries(requests) {
      sent.push(...requests);
      return answer;
    },
  });
}

/** The entries of all messages. */
export const specsOf = (sent: readonly ApplyEntriesRequest[]): readonly EntrySpec[] =>
  sent.flatMap(({ entries }) => entries);
