import { reasonOf } from "../kit/errors.ts";
import type { Log } from "../kit/log.ts";

/** Resolves at the first SIGTERM or SIGINT. A second one ends the process at once: an operator who asks twice means it. */
export function untilStopped(log: Log): Promise<void> {
  return new Promise((resolve) => {
    let asked = false;
    const onSignal = (signal: string): void => {
      if (asked) process.exit(1);
      asked = true;
      log.info({ signal }, "stopping");
      resolve();
    };
    process.on("SIGTERM", () => onSignal("SIGTERM"));
    process.on("SIGINT", () => onSignal("SIGINT"));
  });
}

/** Something that is closed when the daemon stops. */
export interface Opened {
  readonly name: string;
  close(): Promise<void> | void;
}

/** Closes what was opened, last first; one that fails does not keep the others open. */
export async function closeAll(opened: readonly Opened[], log: Log): Promise<void> {
  for (const part of opened.toReversed()) {
    try {
      await part.close();
    } catch (thrown) {
      log.warn({ part: part.name, reason: reasonOf(thrown) }, "did not close cleanly");
    }
  }
}
