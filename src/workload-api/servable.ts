import { checkServable } from "../core/svid/check.ts";
import type { Clock } from "../kit/clock.ts";
import { reasonOf } from "../kit/errors.ts";
import type { SvidCheck } from "./ports.ts";

/** The check of core, as this room asks for it: a reason instead of an error, for a stream that goes on with the rest. */
export function svidCheck(clock: Clock): SvidCheck {
  return (svid, own) => {
    try {
      checkServable(svid, own, clock.now());
      return undefined;
    } catch (thrown) {
      return reasonOf(thrown);
    }
  };
}
