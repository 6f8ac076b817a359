import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePort } from "../../demo/ports.ts";
import { Program } from "../../src/daemon/supervisor.ts";
import { type BusConnection, connectBus } from "../../src/events/adapters/connection.ts";
import { makeNkeys } from "../../src/events/adapters/nkeys.ts";
import { managerOf } from "../../src/events/adapters/streams.ts";
import { systemClock } from "../../src/kit/clock.ts";
import { silentLog } from "../../src/kit/log.ts";
import { systemRandom } from "../../src/kit/random.ts";
import { makeBrokerIdentity } from "./broker-identity.ts";
import { natsServerPath } from "./parts.ts";

/** Another NATS, of other people, with a stream for checkpoints. */
export interface WitnessNats {
  /** Lines of the issuer's configuration, below `witnesses:`. */
  readonly yaml: string;
  readonly connect: () => Promise<BusConnection>;
  readonly program: Program;
  readonly stop: () => Promise<void>;
}

/** Starts it on a port of its own, everything below `folder`. */
export async function startWitnessNats(folder: string): Promise<WitnessNats> {
  mkdirSync(folder, { recursive: true });
  const { certificatePem, keyPem, pin } = await makeBrokerIdentity();
  const nkeys = makeNkeys();
  const port = await freePort();
  const file = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text, { mode: 0o600 });
    return join(folder, name);
  };
  const config = file(
    "nats.conf",
    `listen: "127.0.0.1:${port}"
tls { cert_file: "${file("tls.crt", certificatePem)}", key_file: "${file("tls.key", keyPem)}", handshake_first: true }
jetstream { store_dir: "${join(folder, "store")}" }
authorization { users: [ { nkey: ${nkeys.publicKey} } ] }
`,
  );
  const program = new Program({
    name: "witness-nats",
    command: natsServerPath(),
    args: ["-c", config],
    isReady: (line) => line.includes("Server is ready"),
    logFile: join(folder, "log"),
    restart: false,
  });
  await program.start();
  const server = `tls://127.0.0.1:${port}`;
  const connect = async (): Promise<BusConnection> =>
    await connectBus({
      servers: [server],
      nkeySeed: nkeys.seed,
      pins: () => [pin],
      name: "witness",
      clock: systemClock,
      random: systemRandom,
      log: silentLog,
    });
  const connection = await connect();
  const manager = await managerOf(connection.nats());
  await manager.streams.add({
    name: "HERALD_WITNESS",
    subjects: ["herald.v1.witness.*"],
    deny_delete: true,
    deny_purge: true,
  });
  await connection.close();
  return {
    yaml: `    - nats: { servers: ["${server}"], pins: ["${pin}"], seedFile: "${file("seed", nkeys.seed)}" }\n`,
    connect,
    program,
    stop: () => program.stop(),
  };
}
