import {
  DiscardPolicy,
  JetStreamApiCodes,
  JetStreamApiError,
  type JetStreamManager,
  jetstreamManager,
  RetentionPolicy,
  StorageType,
  StoreCompression,
  type StreamConfig,
} from "@nats-io/jetstream";
import { type NatsConnection, nanos } from "@nats-io/transport-node";
import type { Drift } from "../bus.ts";
import {
  auditStream,
  auditSubjects,
  type Bucket,
  bucketStream,
  buckets,
  eventsStream,
  eventsSubjects,
} from "../subjects.ts";

/** How big and how safe the streams are made. */
export interface StreamOptions {
  /** Copies of each stream: 1, 3 or 5. Defaults to 1. */
  readonly replicas?: number;
  /** Events beyond this are forgotten, oldest first. Defaults to 10 GiB; the broker refuses what its disk cannot hold. */
  readonly eventsMaxBytes?: number;
  /** At this size the audit takes no more and issuance stops (ND-T7). Defaults to what the disk holds. */
  readonly auditMaxBytes?: number;
}

/** A stream as Herald wants it; settings that it does not care for are left to the server. */
export type WantedStream = Partial<StreamConfig> & { readonly name: string };

const minuteMs = 60_000;
const dayMs = 24 * 60 * minuteMs;

/** All streams of Herald, section 3 of the NATS design. */
export function wantedStreams(options: StreamOptions): readonly WantedStream[] {
  const replicas = options.replicas ?? 1;
  return [
    ...buckets.map((bucket) => wantedBucket(bucket, replicas)),
    wantedEvents(options.eventsMaxBytes ?? 10 * 2 ** 30, replicas),
    wantedAudit(options.auditMaxBytes ?? -1, replicas),
  ];
}

// The settings of a KV bucket (ADR-8 of NATS), so that `nats kv` works on them.
function wantedBucket(bucket: Bucket, replicas: number): WantedStream {
  return {
    name: bucketStream(bucket.name),
    subjects: [`$KV.${bucket.name}.>`],
    retention: RetentionPolicy.Limits,
    storage: StorageType.File,
    discard: DiscardPolicy.New,
    max_msgs_per_subject: bucket.history,
    max_msg_size: 2 ** 20,
    allow_direct: true,
    allow_rollup_hdrs: true,
    deny_delete: true,
    num_replicas: replicas,
    ...(bucket.republishedAs === undefined
      ? {}
      : {
          republish: {
            src: `$KV.${bucket.name}.>`,
            dest: `herald.v1.kv.${bucket.republishedAs}.>`,
          },
        }),
  };
}

function wantedEvents(maxBytes: number, replicas: number): WantedStream {
  return {
    name: eventsStream,
    subjects: [eventsSubjects],
    retention: RetentionPolicy.Limits,
    storage: StorageType.File,
    discard: DiscardPolicy.Old,
    compression: StoreCompression.S2,
    max_age: nanos(7 * dayMs),
    max_bytes: maxBytes,
    duplicate_window: nanos(10 * minuteMs),
    max_consumers: 200,
    consumer_limits: { inactive_threshold: nanos(5 * minuteMs) },
    // Events come in batches, one for each SVID of a request.
    allow_atomic: true,
    allow_direct: true,
    deny_delete: true,
    deny_purge: true,
    num_replicas: replicas,
  };
}

function wantedAudit(maxBytes: number, replicas: number): WantedStream {
  return {
    name: auditStream,
    subjects: [auditSubjects],
    retention: RetentionPolicy.Limits,
    storage: StorageType.File,
    // Full means no issuance, not a forgotten past.
    discard: DiscardPolicy.New,
    max_age: nanos(400 * dayMs),
    max_bytes: maxBytes,
    allow_direct: true,
    deny_delete: true,
    deny_purge: true,
    num_replicas: replicas,
  };
}

/** JetStream's API, without asking whether it is there. */
export function managerOf(nats: NatsConnection): Promise<JetStreamManager> {
  return jetstreamManager(nats, { checkAPI: false, timeout: 5_000 });
}

/** Makes missing streams and reports where existing ones differ; changes none: a setting may be an operator's choice. */
export async function ensureStreams(
  nats: NatsConnection,
  options: StreamOptions,
): Promise<readonly Drift[]> {
  const manager = await managerOf(nats);
  const drifts: Drift[] = [];
  for (const wanted of wantedStreams(options)) {
    const found = await findStream(manager, wanted.name);
    if (found === undefined) await manager.streams.add(wanted);
    else drifts.push(...driftOf(wanted, found));
  }
  return drifts;
}

/** The settings of a stream; undefined if there is none. */
async function findStream(
  manager: JetStreamManager,
  name: string,
): Promise<StreamConfig | undefined> {
  try {
    return (await manager.streams.info(name)).config;
  } catch (thrown) {
    const missing =
      thrown instanceof JetStreamApiError && thrown.code === JetStreamApiCodes.StreamNotFound;
    if (missing) return undefined;
    throw thrown;
  }
}

/** Where a stream differs from what is wanted. */
export function driftOf(wanted: WantedStream, found: StreamConfig): readonly Drift[] {
  const settings = new Map<string, unknown>(Object.entries(found));
  return Object.entries(wanted)
    .map(([setting, value]) => ({
      stream: wanted.name,
      setting,
      wanted: JSON.stringify(value),
      found: settings.has(setting) ? JSON.stringify(settings.get(setting)) : "unset",
    }))
    .filter((drift) => drift.wanted !== drift.found);
}
