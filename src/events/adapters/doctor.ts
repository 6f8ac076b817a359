import type { JetStreamManager, StreamInfo } from "@nats-io/jetstream";
import { errors, type NatsConnection } from "@nats-io/transport-node";
import { reasonOf } from "../../kit/errors.ts";
import type { Finding } from "../bus.ts";
import { auditStream, issuerInboxPrefix, requestFilter, requestKinds } from "../subjects.ts";
import type { BusConnection } from "./connection.ts";
import { failure } from "./failures.ts";
import {
  driftOf,
  managerOf,
  type StreamOptions,
  type WantedStream,
  wantedStreams,
} from "./streams.ts";

/** Looks a broker over, with an issuer's rights. Each check stands alone: one that breaks is a finding, not an error. */
export async function examine(
  connection: BusConnection,
  options: StreamOptions,
): Promise<readonly Finding[]> {
  let nats: NatsConnection;
  try {
    nats = connection.nats();
  } catch (thrown) {
    return [
      bad("connection", reasonOf(thrown), "start the broker, or correct its address and pins"),
    ];
  }
  const manager = await managerOf(nats);
  return [
    ...transport(nats),
    durability,
    await storage(manager),
    ...(await Promise.all(wantedStreams(options).map((wanted) => stream(manager, wanted)))),
    await auditRoom(manager),
    await replicas(nats, options),
    ...(await permissions(nats)),
  ];
}

const good = (check: string, detail: string): Finding => ({ check, ok: true, detail });
const bad = (check: string, detail: string, cure: string): Finding => ({
  check,
  ok: false,
  detail,
  cure,
});

function transport(nats: NatsConnection): readonly Finding[] {
  const info = nats.info;
  const limit = info?.max_payload ?? 0;
  const needed = 2 ** 20;
  return [
    good("tls", `TLS from the first byte, pinned key, nats-server ${info?.version ?? "?"}`),
    limit >= needed
      ? good("max_payload", `${limit} bytes`)
      : bad("max_payload", `${limit} bytes`, `set max_payload: ${needed} in nats-server.conf`),
  ];
}

// No client can ask for it: it is in no answer of the JetStream API.
const durability: Finding = {
  check: "sync_interval",
  ok: "unknown",
  detail: "whether acknowledged writes are on the disk cannot be asked of a broker",
  cure: "see that the jetstream block of nats-server.conf says sync_interval: always; the default loses up to two minutes with the power",
};

async function storage(manager: JetStreamManager): Promise<Finding> {
  const check = "jetstream";
  const cure = "add a jetstream block to nats-server.conf, with room on its disk";
  try {
    const account = await manager.getAccountInfo();
    const most = account.limits.max_storage;
    const used = `${account.storage} of ${most < 0 ? "unlimited" : most} bytes used`;
    const full = most > 0 && account.storage > 0.8 * most;
    return full ? bad(check, used, "give JetStream more room (max_file_store)") : good(check, used);
  } catch (thrown) {
    return bad(check, reasonOf(failure(thrown, { what: "ask JetStream" })), cure);
  }
}

async function stream(manager: JetStreamManager, wanted: WantedStream): Promise<Finding> {
  const check = `stream ${wanted.name}`;
  try {
    const { config } = await manager.streams.info(wanted.name);
    const drifts = driftOf(wanted, config);
    if (drifts.length === 0) return good(check, "as Herald makes it");
    const list = drifts.map((drift) => `${drift.setting} is ${drift.found}, not ${drift.wanted}`);
    return bad(check, list.join("; "), `edit it with \`nats stream edit ${wanted.name}\``);
  } catch (thrown) {
    const reason = reasonOf(failure(thrown, { what: `look at ${wanted.name}` }));
    return bad(check, reason, "start an issuer: it makes its streams");
  }
}

async function auditRoom(manager: JetStreamManager): Promise<Finding> {
  const check = "audit room";
  const info = await manager.streams.info(auditStream).catch(() => undefined);
  if (info === undefined) return bad(check, "no audit stream", "start an issuer: it makes it");
  const { bytes } = info.state;
  const most = info.config.max_bytes;
  // A full audit stops all issuance (ND-T7), so it is told early.
  return most > 0 && bytes > 0.8 * most
    ? bad(
        check,
        `${bytes} of ${most} bytes`,
        "raise max_bytes of HB_AUDIT, or export the audit and begin a new stream",
      )
    : good(check, `${bytes} of ${most > 0 ? most : "unlimited"} bytes`);
}

async function replicas(nats: NatsConnection, options: StreamOptions): Promise<Finding> {
  const check = "replicas";
  const wanted = options.replicas ?? 1;
  const clustered = nats.info?.cluster !== undefined;
  if (clustered && wanted === 1) {
    return bad(
      check,
      "a cluster, but one copy of everything",
      "set replicas: 3 and edit the streams",
    );
  }
  const manager = await managerOf(nats);
  const info: StreamInfo | undefined = await manager.streams
    .info(auditStream)
    .catch(() => undefined);
  const behind = info?.cluster?.replicas?.filter((peer) => !peer.current) ?? [];
  return behind.length === 0
    ? good(check, `${wanted} of each stream`)
    : bad(
        check,
        `${behind.map((peer) => peer.name).join(", ")} lag behind`,
        "see those servers' logs",
      );
}

/** What we may do and must, and what we may do and must not. */
async function permissions(nats: NatsConnection): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  const needed = [`${issuerInboxPrefix}.>`, ...requestKinds.map(requestFilter)];
  for (const subject of needed) {
    const check = `may subscribe ${subject}`;
    const allowed = await maySubscribe(nats, subject);
    const cure =
      "give the issuers' user the permissions of docs/security.md, or let Herald write nats-server.conf";
    findings.push(allowed ? good(check, "allowed") : bad(check, "denied", cure));
  }
  const open = await maySubscribe(nats, ">");
  findings.push(
    open
      ? bad(
          "permissions are set",
          "this user hears everything",
          "add the permissions of an issuer to its user",
        )
      : good("permissions are set", "this user does not hear everything"),
  );
  return [...findings, await mayDelete(nats)];
}

/** A denial is sent before the answer to the flush that follows. */
async function maySubscribe(nats: NatsConnection, subject: string): Promise<boolean> {
  let allowed = true;
  const subscription = nats.subscribe(subject, {
    // A group of our own: hearing a request in the issuers' group would take it away from them.
    queue: "doctor",
    callback: (error) => {
      if (error !== null) allowed = false;
    },
  });
  await nats.flush().catch(() => {
    allowed = false;
  });
  subscription.unsubscribe();
  return allowed;
}

/** Asks to delete a stream that does not exist: either we may not, or there is nothing to delete. */
async function mayDelete(nats: NatsConnection): Promise<Finding> {
  const check = "issuers cannot delete streams";
  try {
    await nats.request("$JS.API.STREAM.DELETE.HB_DOCTOR_ASKS", "", { timeout: 2_000 });
    return bad(check, "allowed", "take $JS.API.STREAM.DELETE.> from the issuers' user");
  } catch (thrown) {
    const denied = failure(thrown, { what: check }).code === "BUS_FORBIDDEN";
    if (denied) return good(check, "denied");
    const silent = thrown instanceof errors.TimeoutError;
    return { check, ok: "unknown", detail: silent ? "no answer" : reasonOf(thrown) };
  }
}
