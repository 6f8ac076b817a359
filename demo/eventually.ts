import { setTimeout as sleep } from "node:timers/promises";
import { reasonOf } from "../src/kit/errors.ts";

/**
 * Looks again and again until `look` gives something, and resolves with it. What it throws meanwhile counts as "not yet".
 * @throws {Error} with `what`, and the last thing that stood in the way, when it takes longer than `withinMs`
 */
export async function eventually<T>(
  what: string,
  look: () => T | undefined | false | Promise<T | undefined | false>,
  {
    withinMs = 45_000,
    everyMs = 20,
  }: { readonly withinMs?: number; readonly everyMs?: number } = {},
): Promise<T> {
  const deadline = Date.now() + withinMs;
  let last: unknown;
  for (;;) {
    try {
      const found = await look();
      if (found !== undefined && found !== false) return found;
      last = undefined;
    } catch (thrown) {
      last = thrown;
    }
    if (Date.now() > deadline) {
      const why = last === undefined ? "" : `: ${reasonOf(last)}`;
      throw new Error(`within ${withinMs / 1000} s it did not happen that ${what}${why}`, {
        cause: last,
      });
    }
    await sleep(everyMs);
  }
}
