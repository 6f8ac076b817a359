import type { RotationState } from "../../core/envelope/authority-payloads.ts";
import type { Clock } from "../../kit/clock.ts";
import type { Random } from "../../kit/random.ts";
import { IssuerError } from "../error.ts";
import { newId } from "../identifiers.ts";
import type { Change } from "../state/change.ts";
import type { SignedState } from "../state/signed-state.ts";
import { type Authorities, type AuthorityFacts, authorityChange } from "./authorities.ts";
import { endOf, obey } from "./authority-life.ts";
import type { AuthorityMoves } from "./authority-moves.ts";
import type { Waiting } from "./gate.ts";
import type { RotationGates } from "./rotation-gates.ts";
import {
  newRotation,
  refuseSecond,
  runningRotation,
  sameStepChange,
  stepChange,
} from "./rotation-state.ts";
import type { Turns } from "./turns.ts";

export interface AuthorityOrdersOptions {
  readonly state: SignedState;
  readonly authorities: Authorities;
  readonly moves: AuthorityMoves;
  readonly gates: RotationGates;
  /** Shared by all that changes authorities. */
  readonly turns: Turns;
  readonly clock: Clock;
  readonly random: Random;
}

/** What `ca prune` took out of trust, and what it left there for whom. */
export interface Pruned {
  readonly removed: readonly string[];
  readonly kept: readonly { readonly authority: string; readonly waiting: readonly Waiting[] }[];
}

/**
 * What operators may want of authorities. Whatever moves trust under live SVIDs begins a rotation, whose gates it then waits at; the rest, which
 * nobody can feel, is done at once.
 */
export class AuthorityOrders {
  readonly #options: AuthorityOrdersOptions;

  constructor(options: AuthorityOrdersOptions) {
    this.#options = options;
  }

  /** Makes the next authority and puts its root into every bundle; it signs nothing. @throws IssuerError ROTATION_RUNNING, AUTHORITY_STATUS */
  async prepare(by: string): Promise<AuthorityFacts> {
    const { state, authorities, moves, turns } = this.#options;
    refuseSecond(state);
    const known = moves.prepared();
    if (known !== undefined)
      throw new IssuerError(
        "AUTHORITY_STATUS",
        `authority ${known.authority} is prepared already: \`herald ca activate\`, or \`herald ca revoke ${known.authority}\``,
      );
    const next = await moves.make(by);
    return await turns.take(async () => {
      refuseSecond(state);
      await state.change(() => [
        authorityChange(next),
        moves.bundle([...authorities.trusted(), next]),
      ]);
      moves.tellPrepared(next);
      return next;
    });
  }

  /** All the way from a new authority to the old one's end. One that is prepared already is taken. @throws IssuerError ROTATION_RUNNING, AUTHORITY_MISSING */
  async rotate(by: string): Promise<void> {
    await this.#rotate(by, false);
  }

  /** As {@link AuthorityOrders.rotate}; a rotation that is past its activation gives way, and what it was to remove stays trusted until it ends. */
  async replace(by: string): Promise<void> {
    const { state, moves, turns } = this.#options;
    const to = moves.prepared() ?? (await moves.make(by));
    await turns.take(async () => {
      const running = runningRotation(state);
      if (running !== undefined && running.step !== "prepare")
        await state.change(() => [stepChange({ ...running, paused: false }, "aborted")]);
      const from = moves.mustSign();
      await moves.start({ kind: "rotate", step: "prepare", from, to, taints: false, by });
    });
  }

  /** Brings a prepared authority into use, the newest unless one is named. @throws IssuerError ROTATION_RUNNING, AUTHORITY_UNKNOWN, AUTHORITY_STATUS */
  activate(id: string, by: string): Promise<void> {
    return this.#options.turns.take(async () => {
      const { authorities, moves } = this.#options;
      const to = id === "" ? moves.prepared() : authorities.known(id);
      if (to === undefined)
        throw new IssuerError(
          "AUTHORITY_STATUS",
          "no authority is prepared; `herald ca prepare` makes one, `herald ca rotate` does all of it",
        );
      obey(to, "activate");
      const from = moves.mustSign();
      await moves.start({ kind: "activate", step: "prepare", from, to, taints: false, by });
    });
  }

  /**
   * The authority's key may be in wrong hands: every SVID below it is replaced at once, and then its root goes. In place of the active one another
   * is brought first, by a rotation that does not wait long for the silent.
   *
   * @throws IssuerError AUTHORITY_UNKNOWN, AUTHORITY_STATUS
   */
  async taint(id: string, by: string): Promise<void> {
    const { authorities, state, moves, turns } = this.#options;
    const isActive = await turns.take(async () => {
      const authority = authorities.known(id);
      const status = obey(authority, "taint");
      const running = runningRotation(state);
      if (authority.status === "active") return await this.#makeWay(running);
      await moves.record({ authority: id, status, by });
      const tainted = { ...authority, status };
      await state.change(() => [
        authorityChange(tainted),
        ...this.#removal(tainted, running),
        moves.bundle([...moves.trustedBut(id), tainted]),
      ]);
      moves.tellTainted(id);
      return false;
    });
    if (isActive) await this.#rotate(by, true);
  }

  /** Takes an authority out of trust: one that never signed at once, any other when nobody holds a live SVID of it. @throws IssuerError as {@link AuthorityOrders.taint}, ROTATION_RUNNING */
  revoke(id: string, by: string): Promise<void> {
    return this.#options.turns.take(async () => {
      const { authorities, state, moves } = this.#options;
      const from = authorities.known(id);
      const status = obey(from, "revoke");
      refuseSecond(state);
      if (from.status === "prepared") {
        await moves.takeOut([{ ...from, status }], by);
        return;
      }
      const to = moves.mustSign();
      await moves.start({ kind: "revoke", step: "reissue", from, to, taints: false, by });
    });
  }

  /** Takes out of trust, at once, whatever signs no more and has no live SVID. */
  prune(by: string): Promise<Pruned> {
    return this.#options.turns.take(async () => {
      const { authorities, state, moves, gates, clock } = this.#options;
      const running = runningRotation(state);
      const judged = authorities
        .list()
        .filter(({ status }) => status === "old" || status === "tainted")
        .filter(({ authority }) => authority !== running?.from)
        .map((authority) => ({ authority, waiting: gates.holding(authority).waiting }));
      const now = clock.now();
      const gone = judged
        .filter(({ waiting }) => waiting.length === 0)
        .map(({ authority }) => ({ ...authority, status: endOf(authority, now) }));
      await moves.takeOut(gone, by);
      return {
        removed: gone.map(({ authority }) => authority),
        kept: judged
          .filter(({ waiting }) => waiting.length > 0)
          .map(({ authority, waiting }) => ({ authority: authority.authority, waiting })),
      };
    });
  }

  /** What waits for an upstream is done between turns: acknowledgements must not wait with it. */
  async #rotate(by: string, taints: boolean): Promise<void> {
    const { moves, turns } = this.#options;
    const to = await moves.successor(by);
    await turns.take(async () => {
      const from = moves.mustSign();
      await moves.start({ kind: "rotate", step: "prepare", from, to, taints, by });
    });
  }

  /** The active authority is tainted: a rotation from it taints it on its way; any other one gives way. Is one to be begun? */
  async #makeWay(running: RotationState | undefined): Promise<boolean> {
    const { state } = this.#options;
    if (running?.step === "prepare") {
      const rotation = { ...running, kind: "rotate" as const, taints: true, paused: false };
      await state.change(() => [sameStepChange(rotation)]);
      return false;
    }
    // It waits for the last SVIDs of the one before: that is less urgent, and `ca prune` ends it.
    if (running !== undefined) await state.change(() => [stepChange(running, "aborted")]);
    return true;
  }

  /** The change by which a tainted authority is on its way out: of the rotation under way, or of one that begins when that one is done. */
  #removal(tainted: AuthorityFacts, running: RotationState | undefined): readonly Change[] {
    if (running !== undefined)
      return running.from === tainted.authority
        ? [stepChange({ ...running, taints: true, paused: false }, running.step)]
        : [];
    const facts = newRotation({
      rotation: newId(this.#options.random),
      kind: "revoke",
      step: "reissue",
      taints: true,
      from: tainted.authority,
      to: this.#options.moves.mustSign().authority,
      startedAt: this.#options.clock.now(),
    });
    return [stepChange(facts, "reissue")];
  }
}
