import { WorkloadApiError } from "../error.ts";
import type { Caller } from "../ports.ts";

/** Counts the streams of each caller. */
export interface StreamPlaces {
  /**
   * Takes a place; the returned function gives it back, once.
   * @throws {WorkloadApiError} TOO_MANY_STREAMS
   */
  take(caller: Caller): () => void;
}

/** At most `limit` places a caller: streams cost memory, and any local process may open them (WAPI-26). */
export function streamPlaces(limit: number): StreamPlaces {
  const taken = new Map<string, number>();
  return {
    take({ id }) {
      const count = taken.get(id) ?? 0;
      if (count >= limit) {
        throw new WorkloadApiError("TOO_MANY_STREAMS", `more than ${limit} streams of one caller`);
      }
      taken.set(id, count + 1);
      let held = true;
      return () => {
        if (!held) return;
        held = false;
        const left = (taken.get(id) ?? 1) - 1;
        if (left === 0) taken.delete(id);
        else taken.set(id, left);
      };
    },
  };
}
