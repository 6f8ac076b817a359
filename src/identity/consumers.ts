import type { ConsumerReport } from "../core/envelope/payloads.ts";
import type { Clock } from "../kit/clock.ts";
import {
  type Name,
  type PushSource,
  parseConsumers,
  printConsumers,
  type StreamOf,
} from "./kept-consumers.ts";
import type { Processes } from "./ports.ts";
import { lettingGo, type SvidUse } from "./svids-in-use.ts";

/** One named thing that a consumer was given. */
export interface Push {
  readonly name: string;
  readonly source: PushSource;
}

/** A name that a process let go (or lost with a stream) still counts this long, in case it comes back for it. */
const leftNameCountsMs = 30_000;

/** A process that cannot acknowledge uses a new SVID by then (protocol.md, Acknowledged). */
const settleMs = 10_000;

/** A process that is away and was given trust alone counts this long. */
const trustCountsMs = 3_600_000;

interface Process {
  readonly pid: number;
  readonly start: string;
  readonly kind: ConsumerReport["kind"];
  readonly names: Set<Name>;
  readonly streams: Set<StreamOf>;
  flushedAt: number;
  leftAt: number;
}

/**
 * What each local process was given, and what it said to it: the ground of the rotation gates. A consumer is a process, not a stream: an Envoy
 * that reconnects is the same one, and the kernel tells when it is gone and holds nothing any more.
 */
export class Consumers {
  readonly #clock: Clock;
  readonly #processes: Processes;
  readonly #byStream = new Map<StreamOf, Process>();
  readonly #known = new Map<string, Process>();
  readonly #authorityOf: (serial: string) => string;
  readonly #onChange: () => void;

  constructor(options: {
    readonly clock: Clock;
    readonly processes: Processes;
    /** Which authority signed an SVID of this node, by its serial; empty when unknown. */
    readonly authorityOf: (serial: string) => string;
    readonly onChange: () => void;
  }) {
    this.#clock = options.clock;
    this.#processes = options.processes;
    this.#authorityOf = options.authorityOf;
    this.#onChange = options.onChange;
  }

  opened(kind: ConsumerReport["kind"], stream: StreamOf): void {
    const start = this.#processes.startOf(stream.pid) ?? "gone";
    const id = idOf({ kind, pid: stream.pid, start });
    const known = this.#known.get(id) ?? {
      pid: stream.pid,
      start,
      kind,
      names: new Set(),
      streams: new Set(),
      flushedAt: 0,
      leftAt: 0,
    };
    known.streams.add(stream);
    this.#known.set(id, known);
    this.#byStream.set(stream, known);
  }

  sent(stream: StreamOf, pushes: readonly Push[]): void {
    const process = this.#byStream.get(stream);
    if (process === undefined) return;
    for (const { name, source } of pushes) {
      const known = nameOf(process, stream, name) ?? leftNameOf(process, name);
      const svids = this.#withSent(known?.svids ?? [], source);
      if (known === undefined)
        process.names.add({
          name,
          stream,
          sent: source,
          acknowledged: undefined,
          refusal: undefined,
          leftAt: undefined,
          svids,
        });
      else Object.assign(known, { stream, sent: source, leftAt: undefined, svids });
    }
    this.#onChange();
  }

  acknowledged(stream: StreamOf, pushes: readonly Push[]): void {
    const isHeard = this.#byStream.get(stream)?.kind === "sds";
    const now = this.#clock.now();
    this.#update(stream, pushes, (name, { source }) => {
      name.acknowledged = source;
      name.refusal = undefined;
      if (source.kind === "svid") name.svids = accepted(name.svids, source, { isHeard, now });
    });
  }

  refused(stream: StreamOf, push: Push & { readonly message: string }): void {
    this.#update(stream, [push], (name) => {
      name.refusal = push.message;
    });
  }

  /** A stream that cannot acknowledge was written out. */
  flushed(stream: StreamOf, pushes: readonly Push[]): void {
    const process = this.#byStream.get(stream);
    // Told again of what it has, a process does not have to settle again: or it could keep a rotation waiting by asking over and over.
    const isNews = process !== undefined && pushes.some((push) => !hasAccepted(process, push));
    this.sent(stream, pushes);
    if (isNews) process.flushedAt = this.#clock.now();
    this.acknowledged(stream, pushes);
  }

  closed(stream: StreamOf): void {
    const process = this.#byStream.get(stream);
    if (process === undefined) return;
    this.#byStream.delete(stream);
    process.streams.delete(stream);
    for (const name of process.names)
      if (name.stream === stream)
        Object.assign(name, { stream: undefined, leftAt: this.#clock.now() });
    if (process.streams.size === 0) process.leftAt = this.#clock.now();
    this.#onChange();
  }

  /** Every SVID that a process may still use, though the node may hold a newer one. */
  svids(): readonly SvidUse[] {
    this.report();
    const now = this.#clock.now();
    return [...this.#known.values()].flatMap(({ names }) =>
      [...names].flatMap((held) => held.svids.filter(({ until }) => until > now)),
    );
  }

  /** Everybody who still holds something. */
  report(): readonly ConsumerReport[] {
    const reports: ConsumerReport[] = [];
    for (const [id, process] of this.#known) {
      const isRunning =
        process.streams.size > 0 || this.#processes.startOf(process.pid) === process.start;
      if (isRunning) reports.push(this.#reportOf(id, process));
      else this.#known.delete(id);
    }
    return mostTelling(reports);
  }

  /** What {@link Consumers.resume} takes back after a restart of the daemon. */
  save(): Uint8Array {
    this.report();
    return printConsumers(this.#known.values());
  }

  /** Processes that were served before the restart and still run count, name by name, until they come back for it. */
  resume(bytes: Uint8Array): void {
    const now = this.#clock.now();
    for (const kept of parseConsumers(bytes, now)) {
      if (this.#processes.startOf(kept.pid) !== kept.start) continue;
      const names = new Set(kept.names);
      this.#known.set(idOf(kept), { ...kept, names, streams: new Set(), leftAt: now });
    }
  }

  #withSent(before: readonly SvidUse[], source: PushSource): readonly SvidUse[] {
    if (source.kind !== "svid") return before;
    const { serial, expiresAt: until } = source;
    const now = this.#clock.now();
    const others = before.filter((use) => use.serial !== serial && use.until > now);
    return [...others, { serial, authority: this.#authorityOf(serial), until }];
  }

  #update(
    stream: StreamOf,
    pushes: readonly Push[],
    change: (name: Name, push: Push) => void,
  ): void {
    const process = this.#byStream.get(stream);
    for (const push of pushes) {
      const name = process === undefined ? undefined : nameOf(process, stream, push.name);
      if (name !== undefined) change(name, push);
    }
    this.#onChange();
  }

  #reportOf(id: string, process: Process): ConsumerReport {
    const now = this.#clock.now();
    const sent: Record<string, bigint> = {};
    const acknowledged: Record<string, bigint> = {};
    let heldUntil = 0;
    let refusal: ConsumerReport["refusal"] = null;
    for (const held of process.names) {
      const isForgotten = held.leftAt !== undefined && held.leftAt + leftNameCountsMs < now;
      if (process.streams.size > 0 && isForgotten) {
        // Asked for again and not there any more, an SVID stays in use: nothing in SDS takes it away.
        if (held.svids.every(({ until }) => until <= now)) process.names.delete(held);
        continue;
      }
      if (held.refusal !== undefined)
        refusal = { name: held.name, reason: held.refusal.slice(0, 512) };
      if (held.sent.kind === "svid") heldUntil = Math.max(heldUntil, held.sent.expiresAt);
      else this.#addSequences(held, sent, acknowledged);
    }
    const until = Math.max(
      heldUntil,
      Object.keys(sent).length > 0 ? process.leftAt + trustCountsMs : 0,
    );
    const connected = process.streams.size > 0;
    return {
      id,
      kind: process.kind,
      connected,
      sent,
      acknowledged,
      flushedAt: process.flushedAt,
      heldUntil: connected ? heldUntil : until,
      refusal,
    };
  }

  /** Of several names that carry one domain's bundle, the one furthest behind counts. */
  #addSequences(
    held: Name,
    sent: Record<string, bigint>,
    acknowledged: Record<string, bigint>,
  ): void {
    if (held.sent.kind !== "bundle") return;
    for (const [td, sequence] of held.sent.sequences) {
      const accepted =
        held.acknowledged?.kind === "bundle" ? (held.acknowledged.sequences.get(td) ?? 0n) : 0n;
      sent[td] = max(sent[td] ?? 0n, sequence);
      const behind = acknowledged[td];
      acknowledged[td] = behind === undefined || accepted < behind ? accepted : behind;
    }
  }
}

function idOf({ kind, pid, start }: Pick<Process, "kind" | "pid" | "start">): string {
  return `${kind}-${pid}-${start}`;
}

/** What is still in use once a process has taken this one: of what was sent before it nothing, or nothing in a while where that is not heard. */
function accepted(
  svids: readonly SvidUse[],
  { serial }: { readonly serial: string },
  { isHeard, now }: { readonly isHeard: boolean; readonly now: number },
): readonly SvidUse[] {
  const at = svids.findIndex((use) => use.serial === serial);
  const newest = svids[at];
  if (newest === undefined) return svids;
  return isHeard ? svids.slice(at) : lettingGo(svids, newest, now + settleMs);
}

/** Has any stream of this process accepted a bundle at least as new as this one? */
function hasAccepted(process: Process, push: Push): boolean {
  const { source } = push;
  if (source.kind === "svid") return true;
  return [...process.names].some((held) => {
    const accepted = held.acknowledged?.kind === "bundle" ? held.acknowledged.sequences : undefined;
    return (
      accepted !== undefined &&
      [...source.sequences].every(([td, sequence]) => (accepted.get(td) ?? -1n) >= sequence)
    );
  });
}

/** What one acknowledgement carries: those that a gate may wait for first. The rest comes when these are done. */
const mostReports = 400;

function mostTelling(reports: readonly ConsumerReport[]): readonly ConsumerReport[] {
  // Who was given nothing holds nothing.
  const given = reports.filter(
    (report) => Object.keys(report.sent).length > 0 || report.heldUntil > 0,
  );
  if (given.length <= mostReports) return given;
  return given.toSorted((a, b) => (progress(a) < progress(b) ? -1 : 1)).slice(0, mostReports);
}

/** How far a consumer is, by the bundle that it is furthest behind with; one that refuses is furthest of all. */
function progress(report: ConsumerReport): bigint {
  if (report.refusal !== null) return -1n;
  return Object.values(report.acknowledged).reduce(
    (least, sequence) => (sequence < least ? sequence : least),
    2n ** 64n,
  );
}

function nameOf(process: Process, stream: StreamOf, name: string): Name | undefined {
  return [...process.names].find((held) => held.name === name && held.stream === stream);
}

/** A name that came back on another stream is the one that was left: the process still has what it accepted then. */
function leftNameOf(process: Process, name: string): Name | undefined {
  return [...process.names].find((held) => held.name === name && held.leftAt !== undefined);
}

function max(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}
