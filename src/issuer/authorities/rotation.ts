import type {
  AuthorityState,
  PassedNode,
  RotationState,
} from "../../core/envelope/authority-payloads.ts";
import { rotationKey } from "../../core/envelope/object-keys.ts";
import type { SpiffeId, TrustDomain } from "../../core/spiffe/spiffe-id.ts";
import type { Clock } from "../../kit/clock.ts";
import type { Log } from "../../kit/log.ts";
import type { EventType } from "../announcer.ts";
import type { AuditChain } from "../audit/audit-chain.ts";
import { IssuerError } from "../error.ts";
import type { AuthorityKeys } from "../ports.ts";
import { recordKeyOf } from "../requests.ts";
import type { Change } from "../state/change.ts";
import type { SignedState } from "../state/signed-state.ts";
import {
  type Authorities,
  type AuthorityFacts,
  authorityChange,
  hasLessLeft,
} from "./authorities.ts";
import { endOf, isTrusted, obey } from "./authority-life.ts";
import type { Waiting } from "./gate.ts";
import type { RotationGates } from "./rotation-gates.ts";
import { passedBy, RotationNotes } from "./rotation-notes.ts";
import {
  type RotationFacts,
  runningRotation,
  sameStepChange,
  stepChange,
  withPassed,
} from "./rotation-state.ts";
import { bundleChange } from "./trust-bundle.ts";
import type { Turns } from "./turns.ts";

export interface RotationOptions {
  readonly trustDomain: TrustDomain;
  readonly state: SignedState;
  readonly authorities: Authorities;
  readonly gates: RotationGates;
  readonly keys: Pick<AuthorityKeys, "open">;
  /** Shared by all that changes authorities. */
  readonly turns: Turns;
  readonly audit: AuditChain;
  readonly brokerPins: readonly string[];
  readonly announce: (type: EventType, data: Readonly<Record<string, unknown>>) => void;
  readonly clock: Clock;
  readonly log: Log;
}

/** Where a rotation stands, for the operator. */
export interface RotationProgress
  extends Pick<
    RotationFacts,
    "rotation" | "kind" | "step" | "from" | "to" | "taints" | "paused" | "passed"
  > {
  readonly liveNodes: number;
  readonly waiting: readonly Waiting[];
}

/**
 * The machine behind `ca rotate`, `activate`, `revoke` and `taint`: prepare -> everybody has the new root -> activate -> no SVID of the old authority
 * lives -> its root leaves -> everybody let go of it. Each step is one change of signed state, so an issuer that dies in between goes on where it
 * was: {@link Rotation.advance} looks only at state and acknowledgements.
 */
export class Rotation {
  readonly #options: RotationOptions;
  readonly #notes: RotationNotes;

  constructor(options: RotationOptions) {
    this.#options = options;
    this.#notes = new RotationNotes(options);
  }

  /** The rotation under way; undefined when there is none. */
  running(): RotationState | undefined {
    return runningRotation(this.#options.state);
  }

  /** Of the rotation under way, or else the last one. */
  progress(): RotationProgress {
    const { state, gates } = this.#options;
    const rotation = state.get("rotation-progress", rotationKey);
    const live = gates.liveNodes();
    if (rotation === undefined) return { ...none, liveNodes: live };
    const { kind, step, from, to, taints, paused, passed } = rotation;
    const { waiting } = gates.of(rotation);
    const stands = { rotation: rotation.rotation, kind, step, from, to, taints, paused, passed };
    return { ...stands, liveNodes: live, waiting };
  }

  /** Takes every step whose gate is met. Called after each acknowledgement and now and then: gates also open with time. */
  advance(): Promise<void> {
    return this.#options.turns.take(() => this.#advance());
  }

  /** Nothing is done until {@link Rotation.resume}; but a pause does not outlive the old authority. @throws IssuerError ROTATION_NONE */
  pause(): Promise<void> {
    return this.#steer((rotation) => ({ ...rotation, paused: true }));
  }

  /** @throws IssuerError ROTATION_NONE */
  resume(): Promise<void> {
    return this.#steer((rotation) => ({ ...rotation, paused: false }));
  }

  /** Does not wait for a node any more, whatever it holds. @throws IssuerError ROTATION_NONE, ROTATION_NODE */
  async passBy(node: SpiffeId, by: string): Promise<void> {
    const { state, gates } = this.#options;
    if (state.get("node-record", recordKeyOf(node)) === undefined)
      throw new IssuerError("ROTATION_NODE", `there is no node ${node}; see \`herald node list\``);
    const running = this.#mustRun();
    const held = gates.of(running).waiting.filter((one) => one.node === node);
    const passed = [{ node, step: running.step, why: "by hand" as const }];
    await this.#notes.passed(running, { passed, by, held });
    await this.#steer((rotation) => ({
      ...rotation,
      past: [...new Set([...rotation.past, node])],
    }));
    await this.advance();
  }

  /**
   * Ends a rotation before its activation: the prepared root, of which nothing was ever signed, leaves the bundle. A removal is given up.
   *
   * @throws IssuerError ROTATION_NONE, ROTATION_TOO_FAR
   */
  abort(by: string): Promise<void> {
    return this.#options.turns.take(async () => {
      const rotation = this.#mustRun();
      const to = this.#options.authorities.known(rotation.to);
      const isDone = rotation.kind !== "revoke" && to.status === "active";
      if (isDone || rotation.step === "remove")
        throw new IssuerError(
          "ROTATION_TOO_FAR",
          `rotation ${rotation.rotation} is at ${rotation.step}: the new authority signs, and the way back is another rotation. Stop it where it is with \`herald ca rotate --pause\`, or let it end and run \`herald ca rotate\` again`,
        );
      await this.#abort(rotation, by);
    });
  }

  /**
   * What the step under way would cut off if it were taken now; takes it when `confirmed`.
   *
   * @throws IssuerError ROTATION_NONE
   */
  async force(by: string, confirmed: boolean): Promise<readonly Waiting[]> {
    return await this.#options.turns.take(async () => {
      const rotation = this.#mustRun();
      const { waiting } = this.#options.gates.of(rotation);
      if (!confirmed) return waiting;
      const passed = passedBy(rotation, waiting, "forced");
      await this.#notes.passed(rotation, { passed, by: `${by}, by force`, held: waiting });
      await this.#take(rotation, passed);
      await this.#advance();
      return waiting;
    });
  }

  async #advance(): Promise<void> {
    for (let rotation = this.running(); rotation !== undefined; rotation = this.running()) {
      if (rotation.step === "prepare" && !this.#canActivate(rotation)) {
        await this.#abort(rotation, "automatic: the prepared authority has ended");
        return;
      }
      const isLate = rotation.step === "prepare" && this.#isOutOfTime(rotation);
      if (rotation.paused && !isLate) return;
      const gate = this.#options.gates.of(rotation);
      if (gate.waiting.length > 0 && !isLate) {
        this.#notes.waits(rotation, gate.waiting);
        return;
      }
      const passed = [
        ...gate.passed.map(({ node, why }) => ({ node, step: rotation.step, why })),
        ...passedBy(rotation, gate.waiting, "out of time"),
      ];
      await this.#notes.passed(rotation, { passed, by: "automatic", held: gate.waiting });
      await this.#take(rotation, passed);
    }
  }

  /** A gate that never opens would end in an authority that has ended, for everybody: in its last tenth those who wait are passed by. */
  #isOutOfTime(rotation: RotationState): boolean {
    const { authorities, clock } = this.#options;
    const from = authorities.find(rotation.from);
    return from !== undefined && hasLessLeft(from, 0.1, clock.now());
  }

  #canActivate(rotation: RotationState): boolean {
    const to = this.#options.authorities.find(rotation.to);
    return to !== undefined && isTrusted(to.status) && to.notAfter > this.#options.clock.now();
  }

  async #take(rotation: RotationState, passed: readonly PassedNode[]): Promise<void> {
    const facts = withPassed(rotation, passed);
    switch (rotation.step) {
      case "prepare":
        await this.#activate(facts);
        return;
      case "reissue":
        await this.#remove(facts);
        return;
      case "remove":
        await this.#options.state.change(() => [stepChange(facts, "done")]);
        this.#options.log.info(
          { rotation: facts.rotation },
          "rotation done: nobody trusts the old authority any more",
        );
        return;
      case "done":
      case "aborted":
        return;
    }
  }

  async #activate(rotation: RotationFacts): Promise<void> {
    const { authorities, state, log, clock, announce, keys } = this.#options;
    if ((await keys.open(rotation.to)) === undefined) {
      await this.#abort(rotation, "automatic: the prepared authority's key is gone");
      return;
    }
    const by = `rotation ${rotation.rotation}`;
    await this.#notes.record(rotation.to, "active", by);
    if (rotation.taints) await this.#notes.record(rotation.from, "tainted", by);
    // A crash may leave the first of these without the rest, so the new one comes first: at no moment is there no active authority.
    await state.change(() => {
      const from = authorities.known(rotation.from);
      const to = authorities.known(rotation.to);
      const active = to.status === "active" ? to : { ...to, status: obey(to, "activate") };
      const retired = retire(from, { taints: rotation.taints, now: clock.now() });
      return [
        authorityChange(active),
        authorityChange(retired),
        stepChange(rotation, rotation.kind === "activate" ? "done" : "reissue"),
        this.#bundle([active, retired]),
      ];
    });
    log.info(
      { rotation: rotation.rotation, authority: rotation.to },
      "authority activated; nodes sign anew",
    );
    announce("authority.activated", { authority: rotation.to, rotation: rotation.rotation });
    if (rotation.taints) announce("authority.tainted", { authority: rotation.from });
  }

  async #remove(rotation: RotationFacts): Promise<void> {
    const { authorities, state, log, clock, announce } = this.#options;
    const status = endOf(authorities.known(rotation.from), clock.now());
    await this.#notes.record(rotation.from, status, `rotation ${rotation.rotation}`);
    await state.change(() => {
      const gone = { ...authorities.known(rotation.from), status };
      return [authorityChange(gone), stepChange(rotation, "remove"), this.#bundle([gone])];
    });
    log.info(
      { rotation: rotation.rotation, authority: rotation.from, status },
      "no live SVID of the old authority is left; its root is in no bundle from now on",
    );
    announce("authority.revoked", { authority: rotation.from, rotation: rotation.rotation });
  }

  async #abort(rotation: RotationFacts, by: string): Promise<void> {
    const { authorities, state, clock, log } = this.#options;
    const to = authorities.find(rotation.to);
    const neverSigned = to?.status === "prepared" ? to : undefined;
    if (neverSigned !== undefined)
      await this.#notes.record(
        rotation.to,
        "revoked",
        `${by}: rotation ${rotation.rotation} aborted`,
      );
    await state.change(() => {
      const gone =
        neverSigned === undefined
          ? []
          : [{ ...neverSigned, status: endOf(neverSigned, clock.now()) }];
      return [
        ...gone.map(authorityChange),
        stepChange({ ...rotation, paused: false }, "aborted"),
        this.#bundle(gone),
      ];
    });
    log.info({ rotation: rotation.rotation, by }, "rotation aborted");
  }

  #steer(change: (rotation: RotationState) => RotationFacts): Promise<void> {
    return this.#options.turns.take(() =>
      this.#options.state.change(() => [sameStepChange(change(this.#mustRun()))]),
    );
  }

  #mustRun(): RotationState {
    const running = this.running();
    if (running !== undefined) return running;
    throw new IssuerError(
      "ROTATION_NONE",
      "no rotation is under way; `herald ca rotate` begins one",
    );
  }

  /** The bundle with `changed` in place of what is held of them. */
  #bundle(changed: readonly AuthorityFacts[]): Change {
    const { trustDomain, state, brokerPins, authorities } = this.#options;
    const facts = [
      ...authorities
        .trusted()
        .filter(({ authority }) => !changed.some((one) => one.authority === authority)),
      ...changed,
    ];
    return bundleChange({ trustDomain, state, brokerPins, authorities: facts });
  }
}

const none: Omit<RotationProgress, "liveNodes"> = {
  rotation: "",
  kind: "rotate",
  step: "done",
  from: "",
  to: "",
  taints: false,
  paused: false,
  passed: [],
  waiting: [],
};

/** An authority that another one follows; one that a crash has retired already stays as it is. */
function retire(
  from: AuthorityState,
  { taints, now }: { readonly taints: boolean; readonly now: number },
): AuthorityFacts {
  if (from.status === "active")
    return { ...from, status: obey(from, taints ? "taint" : "retire"), retiredAt: now };
  return from.status === "old" && taints ? { ...from, status: obey(from, "taint") } : from;
}
