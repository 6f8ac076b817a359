import { createHook } from "node:async_hooks";

/** Signatures that the thread pool is working on: `createCsr` makes them there, however still the clock is held. */
const signing = new Set<number>();

createHook({
  init(asyncId, type) {
    if (type === "SIGNREQUEST") signing.add(asyncId);
  },
  before: (asyncId) => void signing.delete(asyncId),
  // Promises are the many, and none of them is a request.
  trackPromises: false,
}).enable();

/** Resolves when nothing goes on any more until a timer is run or something is told: every promise chain has come to its wait. */
export async function quiet(): Promise<void> {
  do await new Promise((resolve) => setImmediate(resolve));
  while (signing.size > 0);
}
