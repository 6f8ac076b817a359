import type { AuthorityState, RotationState } from "../../core/envelope/authority-payloads.ts";
import { parseCertificate } from "../../core/x509/certificate.ts";
import type { Clock } from "../../kit/clock.ts";
import type { Random } from "../../kit/random.ts";
import { newId } from "../identifiers.ts";
import type { SignedState } from "../state/signed-state.ts";
import { type Authorities, type AuthorityFacts, authorityChange } from "./authorities.ts";
import { isTrusted, obey } from "./authority-life.ts";
import type { AuthorityMoves } from "./authority-moves.ts";
import { runningRotation } from "./rotation-state.ts";
import type { Turns } from "./turns.ts";

export interface AuthorityCareOptions {
  readonly state: SignedState;
  readonly authorities: Authorities;
  readonly moves: AuthorityMoves;
  /** Shared by all that changes authorities. */
  readonly turns: Turns;
  readonly clock: Clock;
  readonly random: Random;
}

/** What comes next for an authority by itself. */
export interface NextStep {
  readonly step: string;
  /** Milliseconds since the epoch; 0: when its gate opens. */
  readonly at: number;
}

/** What time alone asks of authorities: the first one, and that what has ended, or was tainted, leaves. When the active one is to be replaced is `upkeep.ts`'s to see. */
export class AuthorityCare {
  readonly #options: AuthorityCareOptions;

  constructor(options: AuthorityCareOptions) {
    this.#options = options;
  }

  /**
   * The very first authority, or one in place of those that have all ended: no live SVID is there whose trust could break, so it is active at once.
   * What is prepared already is taken.
   */
  async begin(): Promise<void> {
    const { authorities, moves, random, turns } = this.#options;
    if (moves.active() !== undefined) return;
    const prepared = authorities.trusted().findLast(({ status }) => status === "prepared");
    const made = prepared ?? (await authorities.create(newId(random)));
    await turns.take(() => this.#begin(made));
  }

  /** Called now and then, after the rotation under way had its turn. */
  tend(): Promise<void> {
    return this.#options.turns.take(async () => {
      const { authorities, state, moves } = this.#options;
      const running = runningRotation(state);
      await this.#expire(running);
      const tainted = authorities.list().find(({ status }) => status === "tainted");
      const active = moves.active();
      if (running !== undefined || tainted === undefined || active === undefined) return;
      const by = "automatic: it is tainted";
      const leaving = { kind: "revoke", step: "reissue", from: tainted, to: active } as const;
      await moves.start({ ...leaving, taints: true, by });
    });
  }

  /** What becomes of an authority by itself, and when. */
  next(authority: AuthorityState): NextStep | undefined {
    const running = runningRotation(this.#options.state);
    const { status, notAfter, authority: id } = authority;
    const isMoving = running?.from === id || running?.to === id;
    switch (status) {
      case "prepared":
        return isMoving ? signs : { step: "signs next", at: this.#rotatesAt(authority) };
      case "active":
        return { step: "is rotated", at: this.#rotatesAt(authority) };
      case "old":
        return isMoving ? leaves : { step: "expires", at: notAfter };
      case "tainted":
        return leaves;
      case "revoked":
      case "expired":
        return undefined;
    }
  }

  /** When the active one has a third of its life left. */
  #rotatesAt(authority: AuthorityState): number {
    const { certificate, notAfter } = this.#options.moves.active() ?? authority;
    const { notBefore } = parseCertificate(Buffer.from(certificate, "base64"));
    return Math.round(notAfter - (notAfter - notBefore) / 3);
  }

  async #begin(made: AuthorityFacts): Promise<void> {
    const { state, authorities, moves, clock } = this.#options;
    if (moves.active() !== undefined) return;
    const active: AuthorityFacts = { ...made, status: obey(made, "activate") };
    const by = authorities.list().length === 0 ? "first start" : "no other authority is left";
    await moves.record({ ...active, by });
    await state.change(() => {
      const ended = authorities
        .list()
        .filter(({ status, notAfter }) => isTrusted(status) && notAfter <= clock.now())
        .map((authority) => ({ ...authority, status: obey(authority, "expire") }));
      return [
        authorityChange(active),
        ...ended.map(authorityChange),
        moves.bundle([...moves.trustedBut(active.authority), active]),
      ];
    });
  }

  /** Expired ones leave the bundle by themselves, but for those that a rotation has in hand. */
  async #expire(running: RotationState | undefined): Promise<void> {
    const now = this.#options.clock.now();
    const ended = this.#options.authorities
      .list()
      .filter(({ status, notAfter }) => isTrusted(status) && notAfter <= now)
      .filter(({ authority }) => authority !== running?.from && authority !== running?.to)
      // Without another one that signs, what comes in its place is written together with its end.
      .filter(({ status }) => status !== "active")
      .map((authority) => ({ ...authority, status: obey(authority, "expire") }));
    await this.#options.moves.takeOut(ended, "automatic: it has expired");
  }
}

const signs: NextStep = { step: "signs as soon as everybody has its root", at: 0 };
const leaves: NextStep = { step: "leaves as soon as no live SVID is below it", at: 0 };
