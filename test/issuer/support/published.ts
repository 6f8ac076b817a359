import { parseCompactJson } from "../../../src/core/envelope/compact-json.ts";
import { groupIndexKey, manifestKey } from "../../../src/core/envelope/object-keys.ts";
import type { GroupIndexState, ManifestState } from "../../../src/core/envelope/payloads.ts";
import { groupPage } from "../../../src/core/envelope/state-shapes.ts";
import type { Entry } from "../../../src/core/policy/entry.ts";
import type { Asker } from "../../support/simulation-asker.ts";
import { payloadOf } from "../../support/simulation-audit.ts";
import type { Office } from "./office.ts";

/** What nodes read: the entries of the group index, pages resolved; revisions are text. */
export async function published({ host }: Office): Promise<readonly Entry[]> {
  const store = await host.bus.issuer("eyes").loadAll();
  const index = payloadOf<GroupIndexState>(store.get(groupIndexKey) ?? new Uint8Array());
  const pages = index.pages.flatMap(({ key }) =>
    groupPage.parse(parseCompactJson(store.get(key) ?? new Uint8Array())),
  );
  return [...index.entries, ...pages];
}

/** What one node reads for itself. */
export function manifestIn(store: ReadonlyMap<string, Uint8Array>, node: Asker): ManifestState {
  const manifest = payloadOf<ManifestState>(store.get(manifestKey(node.id)) ?? new Uint8Array());
  return manifest;
}
