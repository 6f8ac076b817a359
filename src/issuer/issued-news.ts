import type { IssuedSvid } from "../core/envelope/audit-payloads.ts";
import type { SpiffeId } from "../core/spiffe/spiffe-id.ts";
import type { Announcer } from "./announcer.ts";
import { rememberedTime } from "./remembered-time.ts";

/** Announces SVIDs. First for a node and entry: issued; again: rotated. Services that reload on rotation listen for the latter. */
export function issuedNews(
  announcer: Announcer,
): (node: SpiffeId, svids: readonly IssuedSvid[]) => void {
  const announced = new Set<string>();
  const time = rememberedTime();
  return (node, svids) => {
    for (const { spiffeId, entry, serial, notAfter } of svids) {
      const known = `${node} ${entry}`;
      const type = announced.has(known) ? "svid.rotated" : "svid.issued";
      announced.add(known);
      announcer.announce(type, spiffeId, { entry, node, serial, notAfter: time(notAfter) });
    }
  };
}
