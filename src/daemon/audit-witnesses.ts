import { readFile } from "node:fs/promises";
import { connectBus } from "../events/adapters/connection.ts";
import { NatsWitness } from "../events/adapters/witness-nats.ts";
import { FileWitness } from "../issuer/adapters/witness-file.ts";
import { WebhookWitness } from "../issuer/adapters/witness-webhook.ts";
import type { AuditWitness, WitnessSettings } from "../issuer/audit/audit-witnesses.ts";
import { systemClock } from "../kit/clock.ts";
import type { Log } from "../kit/log.ts";
import { systemRandom } from "../kit/random.ts";
import type { AuditConfig, WitnessPlace } from "./audit-config.ts";
import type { Opened } from "./shutdown.ts";

/** Opens the way to every configured witness. One that is away is dialled again in the background. */
export async function openWitnesses(
  config: AuditConfig,
  { log, opened }: { readonly log: Log; readonly opened: Opened[] },
): Promise<WitnessSettings> {
  const witnesses = await Promise.all(
    config.witnesses.map(async ({ place, required }) => ({
      witness: await open(place, { log, opened }),
      required,
    })),
  );
  return { everyMs: config.checkpointEveryMs, witnesses };
}

async function open(
  place: WitnessPlace,
  { log, opened }: { readonly log: Log; readonly opened: Opened[] },
): Promise<AuditWitness> {
  switch (place.kind) {
    case "file":
      return new FileWitness(place.path);
    case "webhook":
      return new WebhookWitness({ ...place, clock: systemClock, random: systemRandom });
    case "nats": {
      const connection = await connectBus({
        servers: place.servers,
        nkeySeed: (await readFile(place.seedFile, "utf8")).trim(),
        pins: () => place.pins,
        name: "herald-issuer-witness",
        waitOnFirstConnect: true,
        clock: systemClock,
        random: systemRandom,
        log,
      });
      opened.push({ name: "audit witness", close: () => connection.close() });
      return new NatsWitness({ connection, stream: place.stream, subject: place.subject });
    }
  }
}
