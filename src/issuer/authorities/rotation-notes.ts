import type { PassedNode, RotationState } from "../../core/envelope/authority-payloads.ts";
import type { AuthorityStatus } from "../../core/envelope/payloads.ts";
import type { Clock } from "../../kit/clock.ts";
import type { Log } from "../../kit/log.ts";
import type { AuditChain } from "../audit/audit-chain.ts";
import type { Authorities } from "./authorities.ts";
import type { Waiting } from "./gate.ts";

/** A step that waits for longer is alarmed, and again after as long. */
const alarmEveryMs = 3_600_000;

/** Names fit into one audit record up to here (fields.ts, `text`). */
const longestText = 1900;

/** What a rotation tells the audit chain and the log of those whom it waits for, and of those whom it passes by. */
export class RotationNotes {
  readonly #options: {
    readonly authorities: Authorities;
    readonly audit: AuditChain;
    readonly clock: Clock;
    readonly log: Log;
  };
  #alarmedAt = 0;

  constructor(options: {
    readonly authorities: Authorities;
    readonly audit: AuditChain;
    readonly clock: Clock;
    readonly log: Log;
  }) {
    this.#options = options;
  }

  /** Names, before the step is taken, everybody who is not waited for, and what of them would be cut off. */
  async passed(
    rotation: RotationState,
    about: {
      readonly passed: readonly PassedNode[];
      readonly by: string;
      /** Those of them who were waited for until now. */
      readonly held: readonly Waiting[];
    },
  ): Promise<void> {
    const { passed, by, held } = about;
    const named = [
      ...passed
        .filter(({ node }) => !held.some((one) => one.node === node))
        .map(({ node, why }) => `${node} (${why})`),
      ...held.map(described),
    ];
    if (named.length === 0) return;
    this.#options.log.error(
      {
        alarm: "rotation-passed",
        rotation: rotation.rotation,
        step: rotation.step,
        passed: named.slice(0, 20),
      },
      "the rotation goes on without these",
    );
    const authority = rotation.step === "reissue" ? rotation.from : rotation.to;
    for (const text of texts(named))
      await this.record(
        authority,
        this.#options.authorities.find(authority)?.status ?? "revoked",
        `${by}: rotation ${rotation.rotation}, step ${rotation.step}, passes: ${text}`,
      );
  }

  /** A rotation that cannot end says so, once an hour. */
  waits(rotation: RotationState, waiting: readonly Waiting[]): void {
    const now = this.#options.clock.now();
    const { stepAt, startedAt, step } = rotation;
    const since = Math.max(stepAt === 0 ? startedAt : stepAt, this.#alarmedAt);
    if (now - since < alarmEveryMs) return;
    this.#alarmedAt = now;
    this.#options.log.error(
      {
        alarm: "rotation-waiting",
        rotation: rotation.rotation,
        step,
        waiting: waiting.slice(0, 20).map(described),
      },
      "a rotation waits for long; `herald ca rotate --watch` says for whom, --past passes one by",
    );
  }

  /** What is to become of an authority. */
  async record(authority: string, status: AuthorityStatus, by: string): Promise<void> {
    await this.#options.audit.record({
      kind: "authority",
      authority,
      status,
      by: by.slice(0, 2048),
    });
  }
}

/** The nodes of those who are waited for, as passed by. */
export function passedBy(
  rotation: RotationState,
  waiting: readonly Waiting[],
  why: PassedNode["why"],
): readonly PassedNode[] {
  const nodes = new Set(waiting.flatMap(({ node }) => (node === "" ? [] : [node])));
  return [...nodes].map((node) => ({ node, step: rotation.step, why }));
}

/** What of somebody would be, or was, cut off. */
function described({ node, consumer, reason, until }: Waiting): string {
  const who = `${node} ${consumer}`.trim();
  const end = until === 0 ? "" : ` until ${new Date(until).toISOString()}`;
  return `${who} (${reason}${end})`;
}

/** Joined, in pieces that an audit record takes. */
function texts(named: readonly string[]): readonly string[] {
  const pieces: string[] = [];
  for (const name of named) {
    const last = pieces.at(-1);
    if (last === undefined || last.length + name.length > longestText - 200) pieces.push(name);
    else pieces[pieces.length - 1] = `${last}, ${name}`;
  }
  return pieces;
}
