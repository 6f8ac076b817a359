import type { IssuerBus, LogMessage } from "../events/bus.ts";
import { EventsError } from "../events/error.ts";
import { auditSubject } from "../events/subjects.ts";
import type { AuditHistory } from "../issuer/ports.ts";

/** Closer than this the beginning is not looked for: these are read in one go. */
const closeEnough = 256;

type AuditLog = Pick<IssuerBus, "tailAudit" | "lastAudit">;

/** The audit log, read back from a moment on: the stream knows sequences only, so the moment is looked for by halves. */
export function auditHistory(bus: AuditLog): AuditHistory {
  return {
    async *readAudit({ issuer, from, signal }) {
      const last = await bus.lastAudit(issuer);
      if (last === undefined) return;
      const since = await beginning(bus, { from, last: last.sequence, signal });
      for await (const message of tailFrom(bus, since, signal)) {
        if (message.subject === auditSubject(issuer)) yield message.bytes;
        if (message.sequence >= last.sequence) return;
      }
    },
  };
}

/** A sequence from before `from`, or the first. */
async function beginning(
  bus: AuditLog,
  part: { readonly from: number; readonly last: number; readonly signal: AbortSignal },
): Promise<number> {
  let [low, high] = [1, part.last];
  while (high - low > closeEnough) {
    const middle = Math.floor((low + high) / 2);
    const at = await timeAt(bus, middle, part.signal);
    if (at === undefined || at < part.from) low = middle;
    else high = middle;
  }
  return low;
}

/** When a record says that it was made; undefined for one that is no longer kept, which is older than any that is. */
async function timeAt(
  bus: AuditLog,
  sequence: number,
  signal: AbortSignal,
): Promise<number | undefined> {
  try {
    for await (const { bytes } of bus.tailAudit({ since: sequence, signal })) return madeAt(bytes);
    return undefined;
  } catch (thrown) {
    if (isGap(thrown)) return undefined;
    throw thrown;
  }
}

async function* tailFrom(
  bus: AuditLog,
  since: number,
  signal: AbortSignal,
): AsyncGenerator<LogMessage, void, undefined> {
  try {
    yield* bus.tailAudit({ since, signal });
  } catch (thrown) {
    if (!isGap(thrown)) throw thrown;
    // It begins after `since`, and 1 stands for wherever that is.
    yield* bus.tailAudit({ since: 1, signal });
  }
}

function isGap(thrown: unknown): boolean {
  return thrown instanceof EventsError && thrown.code === "BUS_GAP";
}

/** Unproven, for a search that ends somewhere in any case; 0 for what is no record. */
function madeAt(envelope: Uint8Array): number {
  try {
    const { payload } = JSON.parse(Buffer.from(envelope).toString("utf8")) as { payload: string };
    const { at } = JSON.parse(Buffer.from(payload, "base64").toString("utf8")) as { at: unknown };
    return typeof at === "number" ? at : 0;
  } catch {
    return 0;
  }
}
