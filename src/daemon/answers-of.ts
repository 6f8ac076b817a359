import type { RequestHandler } from "../events/bus.ts";
import { TurnedAway } from "../issuer/door/entrance.ts";
import type { Issuer } from "../issuer/issuer.ts";

/** The issuer's answers for the bus. Whom the entrance turns away without a word gets none, and is not logged: that would be a flood of its own. */
export function answersOf(issuer: Issuer): RequestHandler {
  return async (request) => {
    try {
      return await issuer.reception.handle(request);
    } catch (thrown) {
      if (thrown instanceof TurnedAway) return undefined;
      throw thrown;
    }
  };
}
