import type { z } from "zod";
import { duration, section } from "./config-fields.ts";

/** How rotations treat those who do not answer (docs/operations.md, "Authorities"). */
interface AuthoritiesSection {
  /** Milliseconds. */
  readonly lostAfter: number;
}

/**
 * The section `authorities`. `lostAfter` (15m): a node that has acknowledged nothing for so long is named and passed by, unless an SVID that may
 * live would be cut off. Nodes acknowledge every 5 minutes, so less than 6 would take healthy ones for lost.
 */
export const authoritiesSection: z.ZodType<AuthoritiesSection> = section({
  lostAfter: duration("6m", "7d").prefault("15m"),
}).prefault({});
