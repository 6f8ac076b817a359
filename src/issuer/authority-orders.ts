import type { AuthorityState, RotationState } from "../core/envelope/payloads.ts";
import type { TrustDomain } from "../core/spiffe/spiffe-id.ts";
import type { Clock } from "../kit/clock.ts";
import type { Log } from "../kit/log.ts";
import type { Random } from "../kit/random.ts";
import type { EventType } from "./announcer.ts";
import type { AuditChain } from "./audit-chain.ts";
import { type Authorities, type AuthorityFacts, authorityChange } from "./authorities.ts";
import { isTrusted, obey } from "./authority-life.ts";
import type { Change } from "./change.ts";
import { IssuerError } from "./error.ts";
import type { Waiting } from "./gate.ts";
import { newId } from "./identifiers.ts";
import { endOf } from "./rotation.ts";
import type { RotationGates } from "./rotation-gates.ts";
import {
  type RotationFacts,
  refuseSecond,
  runningRotation,
  sameStepChange,
  stepChange,
} from "./rotation-state.ts";
import type { SignedState } from "./signed-state.ts";
import { bundleChange } from "./trust-bundle.ts";
import type { Turns } from "./turns.ts";

export interface AuthorityOrdersOptions {
  readonly trustDomain: TrustDomain;
  readonly state: SignedState;
  readonly authorities: Authorities;
  readonly gates: RotationGates;
  /** Shared by all that changes authorities. */
  readonly turns: Turns;
  readonly audit: AuditChain;
  readonly brokerPins: readonly string[];
  /** Of an authority. */
  readonly authorityLifetimeMs: number;
  readonly announce: (type: EventType, data: Readonly<Record<string, unknown>>) => void;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** What `ca prune` took out of trust, and what it left there for whom. */
export interface Pruned {
  readonly removed: readonly string[];
  readonly kept: readonly { readonly authority: string; readonly waiting: readonly Waiting[] }[];
}

/** What comes next for an authority by itself. */
export interface NextStep {
  readonly step: string;
  /** Milliseconds since the epoch; 0: when its gate opens. */
  readonly at: number;
}

/**
 * What operators, and time, may want of authorities. Whatever moves trust under live SVIDs begins a rotation, whose gates it then waits at; the
 * rest, which nobody can feel, is done at once.
 */
export class AuthorityOrders {
  readonly #options: AuthorityOrdersOptions;

  constructor(options: AuthorityOrdersOptions) {
    this.#options = options;
  }

  /**
   * The very first authority, or one in place of those that have all ended: no live SVID is there whose trust could break, so it is active at once.
   * What is prepared already is taken.
   */
  begin(): Promise<void> {
    return this.#options.turns.take(() => this.#begin());
  }

  /** Makes the next authority and puts its root into every bundle; it signs nothing. @throws IssuerError ROTATION_RUNNING, AUTHORITY_STATUS */
  prepare(by: string): Promise<AuthorityFacts> {
    return this.#options.turns.take(async () => {
      const { state, authorities } = this.#options;
      refuseSecond(state);
      const known = this.#prepared();
      if (known !== undefined)
        throw new IssuerError(
          "AUTHORITY_STATUS",
          `authority ${known.authority} is prepared already: \`herald ca activate\`, or \`herald ca revoke ${known.authority}\``,
        );
      const next = await this.#make(by);
      await state.change(() => [
        authorityChange(next),
        this.#bundle([...authorities.trusted(), next]),
      ]);
      this.#tellPrepared(next);
      return next;
    });
  }

  /** All the way from a new authority to the old one's end. One that is prepared already is taken. @throws IssuerError ROTATION_RUNNING, AUTHORITY_MISSING */
  rotate(by: string): Promise<void> {
    return this.#options.turns.take(() => this.#rotate(by, false));
  }

  /** Brings a prepared authority into use, the newest unless one is named. @throws IssuerError ROTATION_RUNNING, AUTHORITY_UNKNOWN, AUTHORITY_STATUS */
  activate(id: string, by: string): Promise<void> {
    return this.#options.turns.take(async () => {
      const { authorities } = this.#options;
      const to = id === "" ? this.#prepared() : authorities.known(id);
      if (to === undefined)
        throw new IssuerError(
          "AUTHORITY_STATUS",
          "no authority is prepared; `herald ca prepare` makes one, `herald ca rotate` does all of it",
        );
      obey(to, "activate");
      const from = this.#mustSign();
      await this.#start({ kind: "activate", step: "prepare", from, to, taints: false, by });
    });
  }

  /**
   * The authority's key may be in wrong hands: every SVID below it is replaced at once, and then its root goes. In place of the active one another
   * is brought first, by a rotation that does not wait long for the silent.
   *
   * @throws IssuerError AUTHORITY_UNKNOWN, AUTHORITY_STATUS, ROTATION_RUNNING
   */
  taint(id: string, by: string): Promise<void> {
    return this.#options.turns.take(async () => {
      const { authorities, state } = this.#options;
      const authority = authorities.known(id);
      const status = obey(authority, "taint");
      const running = runningRotation(state);
      if (authority.status === "active") {
        await this.#taintActive(running, by);
        return;
      }
      await this.#record({ authority: id, status, by });
      const tainted = { ...authority, status };
      await state.change(() => [
        authorityChange(tainted),
        ...this.#removal(tainted, running),
        this.#bundle([...this.#trustedBut(id), tainted]),
      ]);
      this.#options.announce("authority.tainted", { authority: id });
    });
  }

  /** Takes an authority out of trust: one that never signed at once, any other when nobody holds a live SVID of it. @throws IssuerError as {@link AuthorityOrders.taint} */
  revoke(id: string, by: string): Promise<void> {
    return this.#options.turns.take(async () => {
      const { authorities, state } = this.#options;
      const authority = authorities.known(id);
      const status = obey(authority, "revoke");
      refuseSecond(state);
      if (authority.status !== "prepared") {
        const to = this.#mustSign();
        await this.#start({
          kind: "revoke",
          step: "reissue",
          from: authority,
          to,
          taints: false,
          by,
        });
        return;
      }
      await this.#record({ authority: id, status, by });
      await state.change(() => [
        authorityChange({ ...authority, status }),
        this.#bundle(this.#trustedBut(id)),
      ]);
    });
  }

  /** Takes out of trust, at once, whatever signs no more and has no live SVID. */
  prune(by: string): Promise<Pruned> {
    return this.#options.turns.take(async () => {
      const { authorities, state, gates, clock } = this.#options;
      const running = runningRotation(state);
      const candidates = authorities
        .list()
        .filter(({ status }) => status === "old" || status === "tainted")
        .filter(({ authority }) => authority !== running?.from);
      const judged = candidates.map((authority) => ({
        authority,
        waiting: gates.holding(authority).waiting,
      }));
      const now = clock.now();
      const gone = judged
        .filter(({ waiting }) => waiting.length === 0)
        .map(({ authority }) => ({ ...authority, status: endOf(authority, now) }));
      await this.#takeOut(gone, by);
      return {
        removed: gone.map(({ authority }) => authority),
        kept: judged
          .filter(({ waiting }) => waiting.length > 0)
          .map(({ authority, waiting }) => ({ authority: authority.authority, waiting })),
      };
    });
  }

  /** What time alone asks for; called now and then, after the rotation under way had its turn. */
  tend(): Promise<void> {
    return this.#options.turns.take(async () => {
      const { authorities, state, clock, authorityLifetimeMs } = this.#options;
      const running = runningRotation(state);
      await this.#expire(running);
      if (running !== undefined) return;
      const active = this.#active();
      if (active === undefined) {
        await this.#begin();
        return;
      }
      if (active.notAfter - clock.now() < authorityLifetimeMs / 3) {
        await this.#rotate("automatic: two thirds of the authority's life are over", false);
        return;
      }
      const tainted = authorities.list().find(({ status }) => status === "tainted");
      if (tainted !== undefined)
        await this.#start({
          kind: "revoke",
          step: "reissue",
          from: tainted,
          to: active,
          taints: true,
          by: "automatic: it is tainted",
        });
    });
  }

  /** What becomes of an authority by itself, and when. */
  next(authority: AuthorityState): NextStep | undefined {
    const running = runningRotation(this.#options.state);
    const { status, notAfter } = authority;
    if (!isTrusted(status)) return undefined;
    if (running?.to === authority.authority && status === "prepared")
      return { step: "signs as soon as everybody has its root", at: 0 };
    const isLeaving = running?.from === authority.authority && running.kind !== "activate";
    if (isLeaving || status === "tainted")
      return { step: "leaves as soon as no live SVID is below it", at: 0 };
    const active = this.#active();
    const rotatesAt = (active?.notAfter ?? notAfter) - this.#options.authorityLifetimeMs / 3;
    if (status === "active") return { step: "is rotated", at: rotatesAt };
    return status === "prepared"
      ? { step: "signs after the next rotation", at: rotatesAt }
      : { step: "expires", at: notAfter };
  }

  async #begin(): Promise<void> {
    const { state, authorities, clock } = this.#options;
    if (this.#active() !== undefined) return;
    const prepared = authorities.trusted().findLast(({ status }) => status === "prepared");
    const made = prepared ?? (await this.#options.authorities.create(newId(this.#options.random)));
    const active: AuthorityFacts = { ...made, status: "active" };
    const by = authorities.list().length === 0 ? "first start" : "no other authority is left";
    await this.#record({ ...active, by });
    await state.change(() => {
      const ended = authorities
        .list()
        .filter(({ status, notAfter }) => isTrusted(status) && notAfter <= clock.now())
        .map((authority) => ({ ...authority, status: obey(authority, "expire") }));
      return [
        authorityChange(active),
        ...ended.map(authorityChange),
        this.#bundle([...this.#trustedBut(active.authority), active]),
      ];
    });
  }

  async #rotate(by: string, taints: boolean): Promise<void> {
    refuseSecond(this.#options.state);
    const from = this.#mustSign();
    const prepared = this.#prepared();
    const to = prepared ?? (await this.#make(by));
    await this.#start({ kind: "rotate", step: "prepare", from, to, taints, by });
    if (prepared === undefined) this.#tellPrepared(to);
  }

  async #start(
    wanted: Pick<RotationFacts, "kind" | "step" | "taints"> & {
      readonly from: AuthorityFacts;
      readonly to: AuthorityFacts;
      readonly by: string;
    },
  ): Promise<void> {
    const { state, authorities, clock, random, log } = this.#options;
    const { kind, step, taints, from, to, by } = wanted;
    refuseSecond(state);
    const rotation = newId(random);
    const facts = newRotation({
      rotation,
      kind,
      step,
      taints,
      from: from.authority,
      to: to.authority,
      startedAt: clock.now(),
    });
    await state.change(() => [
      ...(authorities.find(to.authority) === undefined ? [authorityChange(to)] : []),
      stepChange(facts, step),
      this.#bundle([...this.#trustedBut(to.authority), to]),
    ]);
    log.info({ rotation, kind, from: from.authority, to: to.authority, by }, "rotation begun");
  }

  async #taintActive(running: RotationState | undefined, by: string): Promise<void> {
    const { state } = this.#options;
    if (running?.step === "prepare") {
      const rotation = { ...running, kind: "rotate" as const, taints: true, paused: false };
      await state.change(() => [sameStepChange(rotation)]);
      return;
    }
    // The one before it waits for its last SVIDs: that is less urgent, and `ca prune` ends it.
    if (running !== undefined) await state.change(() => [stepChange(running, "aborted")]);
    await this.#rotate(by, true);
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
      to: this.#mustSign().authority,
      startedAt: this.#options.clock.now(),
    });
    return [stepChange(facts, "reissue")];
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
    await this.#takeOut(ended, "automatic: it has expired");
  }

  async #takeOut(gone: readonly AuthorityFacts[], by: string): Promise<void> {
    if (gone.length === 0) return;
    for (const { authority, status } of gone) await this.#record({ authority, status, by });
    const ids = new Set(gone.map(({ authority }) => authority));
    await this.#options.state.change(() => [
      ...gone.map(authorityChange),
      this.#bundle(
        this.#options.authorities.trusted().filter(({ authority }) => !ids.has(authority)),
      ),
    ]);
    for (const authority of ids) this.#options.announce("authority.revoked", { authority });
  }

  /** The record first: while the audit stream is away no key is made, however often it is tried. */
  async #make(by: string): Promise<AuthorityFacts> {
    const { authorities, random } = this.#options;
    const id = newId(random);
    await this.#record({ authority: id, status: "prepared", by });
    return await authorities.create(id);
  }

  #tellPrepared({ authority }: AuthorityFacts): void {
    this.#options.log.info(
      { authority },
      "new authority prepared; its root is in every bundle from now on",
    );
    this.#options.announce("authority.prepared", { authority });
  }

  /** The newest that is prepared and has enough of its life ahead to be worth a rotation: a crash, or `ca prepare`, may have left one. */
  #prepared(): AuthorityState | undefined {
    const { authorities, clock, authorityLifetimeMs } = this.#options;
    return authorities
      .trusted()
      .findLast(
        ({ status, notAfter }) =>
          status === "prepared" && notAfter - clock.now() > authorityLifetimeMs / 2,
      );
  }

  #active(): AuthorityState | undefined {
    return this.#options.authorities.trusted().findLast(({ status }) => status === "active");
  }

  #mustSign(): AuthorityState {
    const active = this.#options.authorities.active();
    if (active !== undefined) return active;
    throw new IssuerError("AUTHORITY_MISSING", "there is no active authority to rotate from");
  }

  #trustedBut(id: string): readonly AuthorityFacts[] {
    return this.#options.authorities.trusted().filter(({ authority }) => authority !== id);
  }

  async #record(of: Pick<AuthorityFacts, "authority" | "status"> & { readonly by: string }) {
    const { authority, status, by } = of;
    await this.#options.audit.record({ kind: "authority", authority, status, by });
  }

  #bundle(authorities: readonly AuthorityFacts[]): Change {
    const { trustDomain, state, brokerPins } = this.#options;
    return bundleChange({ trustDomain, state, brokerPins, authorities });
  }
}

function newRotation(
  of: Pick<RotationFacts, "rotation" | "kind" | "step" | "taints" | "from" | "to" | "startedAt">,
): RotationFacts {
  return { ...of, stepAt: of.startedAt, gateFrom: null, paused: false, past: [], passed: [] };
}
