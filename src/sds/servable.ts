import { checkServable, checkServableBundle } from "../core/svid/check.ts";
import type { Clock } from "../kit/clock.ts";
import { reasonOf } from "../kit/errors.ts";
import type { ServableCheck } from "./ports.ts";

/** The checks of core, as this room asks for them: a reason instead of an error, for a stream that waits and goes on. */
export function servableCheck(clock: Clock): ServableCheck {
  return {
    svid: (svid, own) => faultOf(() => checkServable(svid, own, clock.now())),
    bundle: (bundle) => faultOf(() => checkServableBundle(bundle)),
  };
}

function faultOf(check: () => unknown): string | undefined {
  try {
    check();
    return undefined;
  } catch (thrown) {
    return reasonOf(thrown);
  }
}
