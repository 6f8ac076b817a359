import { claimOf, openEnvelope } from "../core/envelope/envelope.ts";
import type { AuditPoint } from "../core/envelope/payloads.ts";
import type { ControlTrust } from "../core/envelope/trust.ts";
import { parseSpiffeId, type SpiffeId } from "../core/spiffe/spiffe-id.ts";
import { readWitnessFile } from "../issuer/adapters/witness-file.ts";
import { ChainCheck, type ChainReport, type SeenPoint } from "../issuer/audit/audit-verify.ts";
import { HeraldError, reasonOf } from "../kit/errors.ts";
import type { DescribeAuditResponse } from "../wire/herald/v1/audit.ts";
import { linesOf } from "./audit-source.ts";

/** Somebody who may have seen the chain, and what came of asking. */
export interface AskedWitness {
  readonly by: string;
  readonly points: readonly SeenPoint[];
  /** Empty when it told. */
  readonly problem: string;
}

/** A witness's file: every checkpoint in it. */
export async function witnessFile(path: string, trust: ControlTrust): Promise<AskedWitness> {
  const by = `file ${path}`;
  const { checkpoints, foreign } = await readWitnessFile(path, trust);
  const problem = foreign === 0 ? "" : `${foreign} lines are no checkpoints that an issuer signed`;
  return {
    by,
    points: checkpoints.map(({ issuer, n, digest }) => ({ issuer, n, digest, by })),
    problem: checkpoints.length === 0 && problem === "" ? "holds no checkpoint" : problem,
  };
}

/** Heads in a file, an envelope a line: what any node keeps beside its state is a witness too. */
export async function headFile(path: string, trust: ControlTrust): Promise<AskedWitness> {
  const points: SeenPoint[] = [];
  for await (const line of linesOf(path)) {
    const point = headPoint(line, trust);
    if (point !== undefined) points.push({ ...point, by: `a head of ${path}` });
  }
  const problem = points.length === 0 ? "holds no head that names an audit chain" : "";
  return { by: `heads ${path}`, points, problem };
}

/** The issuer's own witnesses, and the head that it announces now. */
export function toldWitnesses(
  told: DescribeAuditResponse,
  trust: ControlTrust,
): readonly AskedWitness[] {
  const head = headPoint(told.head, trust);
  const announced: AskedWitness = {
    by: "the newest head",
    points: head === undefined ? [] : [{ ...head, by: "the newest head" }],
    problem: head === undefined ? "names no audit chain" : "",
  };
  return [announced, ...told.witnesses.map((witness) => askedOf(witness, trust))];
}

function askedOf(
  witness: DescribeAuditResponse["witnesses"][number],
  trust: ControlTrust,
): AskedWitness {
  const { name: by, checkpoint, problem } = witness;
  if (problem !== "" || checkpoint.length === 0)
    return { by, points: [], problem: problem === "" ? "has no checkpoint yet" : problem };
  try {
    const keys = trust.atAnyTime();
    const { issuer, n, digest } = openEnvelope(checkpoint, ["audit-checkpoint"], keys).payload;
    return { by, points: [{ issuer, n, digest, by }], problem: "" };
  } catch (thrown) {
    return { by, points: [], problem: `shows what no issuer signed: ${reasonOf(thrown)}` };
  }
}

function headPoint(bytes: Uint8Array, trust: ControlTrust): AuditPoint | undefined {
  try {
    return openEnvelope(bytes, ["head"], trust.atAnyTime()).payload.audit;
  } catch (thrown) {
    if (thrown instanceof HeraldError) return undefined;
    throw thrown;
  }
}

/** Checks the chains in a run of envelopes: of one issuer, or of each that some record claims to be of. */
export async function checkChains(
  envelopes: AsyncIterable<Uint8Array>,
  facts: {
    readonly trust: ControlTrust;
    readonly issuer: SpiffeId | undefined;
    readonly seen: readonly SeenPoint[];
  },
): Promise<readonly ChainReport[]> {
  const { trust, issuer, seen } = facts;
  const checks = new Map<SpiffeId, ChainCheck>();
  const checkOf = (of: SpiffeId): ChainCheck => {
    const known = checks.get(of) ?? new ChainCheck({ issuer: of, trust, seen });
    checks.set(of, known);
    return known;
  };
  // Whoever was seen must be there, were it with nothing left.
  for (const point of seen) if (issuer === undefined) checkOf(point.issuer);
  if (issuer !== undefined) checkOf(issuer);
  let current = issuer;
  for await (const bytes of envelopes) {
    // What says nothing of itself stands in the chain that it is found in.
    current = claimedIssuer(bytes) ?? current ?? [...checks.keys()][0];
    if (current !== undefined && (issuer === undefined || current === issuer))
      checkOf(current).take(bytes);
  }
  return [...checks.values()].map((check) => check.end());
}

/** Unproven, and only to find the check that proves it. */
function claimedIssuer(bytes: Uint8Array): SpiffeId | undefined {
  try {
    claimOf(bytes);
    const { payload } = JSON.parse(Buffer.from(bytes).toString("utf8")) as { payload: string };
    const told = JSON.parse(Buffer.from(payload, "base64").toString("utf8")) as {
      readonly issuer?: unknown;
    };
    return typeof told.issuer === "string" ? parseSpiffeId(told.issuer) : undefined;
  } catch {
    return undefined;
  }
}
