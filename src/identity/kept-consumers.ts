import { z } from "zod";
import { parseCompactJson, printCompactJson } from "../core/envelope/compact-json.ts";
import type { ConsumerReport } from "../core/envelope/payloads.ts";
import type { TrustDomain } from "../core/spiffe/spiffe-id.ts";
import type { SvidUse } from "./svids-in-use.ts";

/** What a process was given under one name, and how that lies on the disk between two runs of the daemon. */

/** Which version of what a pushed secret was made from. */
export type PushSource =
  | { readonly kind: "svid"; readonly serial: string; readonly expiresAt: number }
  | { readonly kind: "bundle"; readonly sequences: ReadonlyMap<TrustDomain, bigint> };

/** One stream of a local process. */
export interface StreamOf {
  readonly pid: number;
}

/** One secret, or one kind of answer, as a process holds it. */
export interface Name {
  readonly name: string;
  /** The stream that carries it: two streams of one process may carry one name, and each has its own Envoy cluster behind it. */
  stream: StreamOf | undefined;
  sent: PushSource;
  acknowledged: PushSource | undefined;
  refusal: string | undefined;
  leftAt: number | undefined;
  /** What the process may use under this name: the SVID that it accepted last, and what it was sent since. */
  svids: readonly SvidUse[];
}

const keptSource = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("svid"), serial: z.string(), expiresAt: z.number() }),
  z.object({ kind: z.literal("bundle"), sequences: z.record(z.string(), z.string()) }),
]);

const keptName = z.object({
  name: z.string(),
  svids: z
    .array(z.object({ serial: z.string(), authority: z.string(), until: z.number() }))
    .default([]),
  sent: keptSource,
  acknowledged: keptSource.nullable(),
  refusal: z.string().nullable(),
});

/** A process as it lies on the disk. */
export interface KeptProcess {
  readonly pid: number;
  readonly start: string;
  readonly kind: ConsumerReport["kind"];
  readonly flushedAt: number;
  readonly names: ReadonlySet<Name>;
}

/** For the disk: those who hold something. */
export function printConsumers(processes: Iterable<KeptProcess>): Uint8Array {
  const kept = [...processes].flatMap(({ pid, start, kind, flushedAt, names }) =>
    names.size > 0 ? [{ pid, start, kind, flushedAt, names: [...names].map(keep) }] : [],
  );
  return printCompactJson(kept);
}

/** From the disk: nobody has come back for anything yet. */
export function parseConsumers(bytes: Uint8Array, now: number): readonly KeptProcess[] {
  return keptProcesses.parse(parseCompactJson(bytes)).map((kept) => ({
    ...kept,
    names: new Set(kept.names.map((one) => takeBack(one, now))),
  }));
}

/** What the daemon wrote itself, in a file of its own. */
const keptProcesses = z.array(
  z.object({
    pid: z.number(),
    start: z.string(),
    kind: z.enum(["sds", "workload-api"]),
    flushedAt: z.number(),
    names: z.array(keptName),
  }),
);

type KeptSource = z.infer<typeof keptSource>;

function keep(held: Name): z.infer<typeof keptName> {
  const { name, sent, acknowledged, refusal = null, svids } = held;
  return {
    name,
    svids: [...svids],
    sent: keepSource(sent),
    acknowledged: acknowledged === undefined ? null : keepSource(acknowledged),
    refusal,
  };
}

function takeBack(kept: z.infer<typeof keptName>, now: number): Name {
  const { name, sent, acknowledged, refusal, svids } = kept;
  return {
    name,
    svids,
    stream: undefined,
    sent: takeBackSource(sent),
    acknowledged: acknowledged === null ? undefined : takeBackSource(acknowledged),
    refusal: refusal ?? undefined,
    leftAt: now,
  };
}

function keepSource(source: PushSource): KeptSource {
  if (source.kind === "svid") return source;
  const sequences = [...source.sequences].map(([td, sequence]) => [td, String(sequence)] as const);
  return { kind: "bundle", sequences: Object.fromEntries(sequences) };
}

function takeBackSource(kept: KeptSource): PushSource {
  if (kept.kind === "svid") return kept;
  const sequences = Object.entries(kept.sequences).map(
    ([td, sequence]) => [td as TrustDomain, BigInt(sequence)] as const,
  );
  return { kind: "bundle", sequences: new Map(sequences) };
}
