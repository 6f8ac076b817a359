import { createHook } from "node:async_hooks";

/** Signatures under way, by the id of their job: a signer may make them on the thread pool, however still the clock is held. */
const signing = new Map<number, object>();

createHook({
  init(...[asyncId, type, , job]: [number, string, number, object]) {
    if (type === "SIGNREQUEST") signing.set(asyncId, job);
  },
  before: (asyncId) => void signing.delete(asyncId),
  // Promises are the many, and none of them is a job.
  trackPromises: false,
}).enable();

/** Resolves when nothing goes on any more until a timer is run or something is told: every promise chain has come to its wait. */
export async function quiet(): Promise<void> {
  do await new Promise((resolve) => setImmediate(resolve));
  while (isSigning());
}

/** A job that was done at once, without the pool, never had anybody to call. */
function isSigning(): boolean {
  for (const [asyncId, job] of signing) if (!("ondone" in job)) signing.delete(asyncId);
  return signing.size > 0;
}
