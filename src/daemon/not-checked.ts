import type { Finding } from "../events/bus.ts";

/** What this release does not check yet, told by `herald doctor` as docs/security.md tells it: an operator must not take it for checked. */
export const notCheckedYet: readonly Finding[] = [
  finding(
    "single withheld objects",
    "a node asks an issuer after a reconnect and when a head names what cannot be read, not at intervals",
  ),
  finding(
    "objects of an older term",
    "they count only if the newest head names them; Merkle proofs are not asked for",
  ),
  finding(
    "a node's own subjects",
    "all nodes share one nkey, so the broker does not keep them apart",
  ),
  finding("several issuers", "heads are not compared between issuers; run one"),
];

function finding(check: string, detail: string): Finding {
  return { check, ok: "unknown", detail: `not checked by this release: ${detail}` };
}
