import type { Issuer } from "../issuer/issuer.ts";
import { systemClock, type Timer } from "../kit/clock.ts";
import { reasonOf } from "../kit/errors.ts";
import type { Log } from "../kit/log.ts";
import { type ControlKeys, StateFolderError } from "./control-keys.ts";

/** How often the control certificate is looked at: it lives 30 days and is renewed 10 days ahead. */
const certificateCheckMs = 3_600_000;

/** Certifies the control key anew while the issuer runs, and then signs anew what nodes may read after the old certificate has ended. */
export function keepCertified(parts: {
  readonly control: ControlKeys;
  readonly issuer: Issuer;
  readonly log: Log;
  readonly giveUp: (reason: unknown) => void;
}): () => void {
  const { control, issuer, log, giveUp } = parts;
  let timer: Timer;
  const check = async (): Promise<void> => {
    try {
      if (await control.renewCertificate()) {
        await issuer.signAnew();
        log.info({}, "the control key is certified anew");
      }
    } catch (thrown) {
      if (thrown instanceof StateFolderError) giveUp(thrown);
      else
        log.warn(
          { reason: reasonOf(thrown) },
          "could not look after the control certificate; trying again in an hour",
        );
    }
    timer = systemClock.after(certificateCheckMs, () => void check());
  };
  timer = systemClock.after(certificateCheckMs, () => void check());
  return () => timer.cancel();
}
