import type { ManifestState } from "../core/envelope/payloads.ts";
import { compareVersions, type Version } from "../core/envelope/version.ts";
import type { Entry } from "../core/policy/entry.ts";

/**
 * The entries of a manifest that are in force beside the group index of version `shared`, pages and all. A manifest may come before the index that it goes
 * with; until then what was before it counts, so that one object switches both over (docs/protocol.md, State).
 */
export function ownEntries(manifest: ManifestState, shared: Version): readonly Entry[] {
  return compareVersions(shared, manifest.goesWith) < 0 ? manifest.before : manifest.entries;
}
