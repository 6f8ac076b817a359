import { z } from "zod";
import type { StaleCrls } from "../core/svid/crl-cover.ts";

/** `revocation` in a node's configuration. */
export interface NodeRevocationConfig {
  /**
   * What becomes of a CRL whose nextUpdate has passed. `strip` (the default): it is taken off, and revoked peers are let in until their
   * SVIDs expire. `refuse`: it stays, and Envoy refuses every peer of that authority (EF-21). docs/security.md weighs the two.
   */
  readonly stale: StaleCrls;
}

const stale = z.enum(["strip", "refuse"], { error: "will not do; write strip or refuse" });

/** Its written form, with the default filled in. */
export const nodeRevocationSection: z.ZodType<NodeRevocationConfig> = z
  .strictObject(
    { stale: stale.default("strip") },
    {
      error: (issue) =>
        issue.code === "unrecognized_keys"
          ? "is not a key here; the key is stale"
          : "must be a mapping with stale",
    },
  )
  .prefault({});
