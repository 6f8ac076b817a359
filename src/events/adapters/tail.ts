import { DeliverPolicy, jetstream } from "@nats-io/jetstream";
import { type Clock, pause } from "../../kit/clock.ts";
import { reasonOf } from "../../kit/errors.ts";
import type { Log } from "../../kit/log.ts";
import type { LogMessage, TailOptions } from "../bus.ts";
import { EventsError } from "../error.ts";
import type { BusConnection } from "./connection.ts";
import { failure } from "./failures.ts";
import { managerOf } from "./streams.ts";

/** What to tail, and with what. */
export interface TailSource extends TailOptions {
  readonly connection: BusConnection;
  readonly stream: string;
  readonly clock: Clock;
  readonly log: Log;
}

// With the default heartbeat an ordered consumer stalls 45 s after a server's restart; we make a new one at each reconnect anyway,
// and this bounds the case of a consumer lost with its node in a cluster.
const heartbeatMs = 1_000;
const retryMs = 1_000;

/**
 * Messages of a log in order, from `since` on, until the signal aborts: an ordered consumer for each connection, continued after the
 * last message that was taken (ND-27). @throws EventsError BUS_GAP when what comes next is no longer kept
 */
export function tail(source: TailSource): AsyncIterable<LogMessage> {
  return continued(source);
}

async function* continued(source: TailSource): AsyncGenerator<LogMessage, void, undefined> {
  let next = source.since;
  while (!ended(source)) {
    await source.connection.whenConnected(source.signal);
    try {
      const first = await startOf(source, next);
      next = first;
      for await (const message of once(source, first)) {
        yield message;
        next = message.sequence + 1;
      }
    } catch (thrown) {
      const error = failure(thrown, { what: `tail ${source.stream}` });
      if (ended(source)) return;
      if (!passes(error, next !== undefined)) throw error;
      source.log.debug({ stream: source.stream, reason: reasonOf(error) }, "tail interrupted");
      await pause(source.clock, retryMs, source.signal);
    }
  }
}

function ended(source: TailSource): boolean {
  return source.signal.aborted;
}

/** Whether to try again. A broker that just came back has no JetStream for a moment; one that never had it stays so. */
function passes(error: EventsError, begun: boolean): boolean {
  const { code } = error;
  return code === "BUS_UNREACHABLE" || code === "BUS_TIMEOUT" || (begun && code === "BUS_NO_STORE");
}

/** The sequence to start at, which must still be there: the server would skip a gap without a word (ND-27). */
async function startOf(source: TailSource, wanted: number | undefined): Promise<number> {
  const manager = await managerOf(source.connection.nats());
  const { state } = await manager.streams.info(source.stream);
  if (wanted === undefined) return state.last_seq + 1;
  const tooOld = wanted > 1 && wanted < state.first_seq;
  const tooNew = wanted > state.last_seq + 1;
  if (tooOld || tooNew) {
    throw new EventsError(
      "BUS_GAP",
      `${source.stream} holds ${state.first_seq} to ${state.last_seq}, so ${wanted} cannot come next; take a snapshot and start from its sequence`,
    );
  }
  return wanted;
}

async function* once(
  source: TailSource,
  from: number,
): AsyncGenerator<LogMessage, void, undefined> {
  const nats = source.connection.nats();
  const consumer = await jetstream(nats).consumers.get(source.stream, {
    deliver_policy: DeliverPolicy.StartSequence,
    opt_start_seq: from,
  });
  const messages = await consumer.consume({ idle_heartbeat: heartbeatMs, max_messages: 256 });
  const stop = (): void => messages.stop();
  source.signal.addEventListener("abort", stop);
  void nats.closed().then(stop);
  try {
    if (source.signal.aborted) return;
    for await (const { seq, subject, data } of messages) {
      yield { sequence: seq, subject, bytes: data };
    }
  } finally {
    source.signal.removeEventListener("abort", stop);
    messages.stop(); // its close() waits for an iteration that may never have begun
    // It would die by itself in five minutes; 200 of them fill the stream (ND-26).
    if (!nats.isClosed()) await consumer.delete().catch(() => false);
  }
}
