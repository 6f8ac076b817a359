import { bundleKey, rotationKey } from "../core/envelope/object-keys.ts";
import type { RotationState, RotationStep } from "../core/envelope/payloads.ts";
import { spiffeSequence } from "../core/envelope/version.ts";
import type { TrustDomain } from "../core/spiffe/spiffe-id.ts";
import { parseCertificate } from "../core/x509/certificate.ts";
import type { Clock } from "../kit/clock.ts";
import type { Log } from "../kit/log.ts";
import type { Random } from "../kit/random.ts";
import type { Acknowledgements } from "./acknowledgements.ts";
import type { AuditChain } from "./audit-chain.ts";
import { type Authorities, authorityChange } from "./authorities.ts";
import type { Change } from "./change.ts";
import { IssuerError } from "./error.ts";
import {
  type GateFacts,
  liveNodes,
  type Waiting,
  waitingForBundle,
  waitingForReissue,
} from "./gate.ts";
import { newId } from "./identifiers.ts";
import type { SignedState } from "./signed-state.ts";
import { type AuthorityFacts, bundleChange } from "./trust-bundle.ts";

export interface RotationOptions {
  readonly trustDomain: TrustDomain;
  readonly state: SignedState;
  readonly authorities: Authorities;
  readonly acknowledgements: Acknowledgements;
  readonly audit: AuditChain;
  readonly brokerPins: readonly string[];
  /** Of any SVID, a node's or a workload's. */
  readonly longestLifeMs: number;
  /** Of an authority. */
  readonly authorityLifetimeMs: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** Where a rotation stands, for the operator. */
export interface RotationProgress {
  readonly rotation: string;
  readonly step: RotationStep;
  readonly liveNodes: number;
  readonly waiting: readonly Waiting[];
}

/**
 * `ca rotate`: prepare -> every consumer has the new root -> activate -> every SVID is signed anew. Each step is one change of signed state, so an
 * issuer that dies in between goes on where it was: {@link Rotation.advance} looks only at state and acknowledgements.
 */
export class Rotation {
  readonly #options: RotationOptions;
  #advancing: Promise<unknown> = Promise.resolve();

  constructor(options: RotationOptions) {
    this.#options = options;
  }

  /** The rotation under way; undefined when there is none. */
  running(): RotationState | undefined {
    const rotation = this.#options.state.get("rotation-progress", rotationKey);
    return rotation === undefined || rotation.step === "done" ? undefined : rotation;
  }

  /** The very first authority: there is nobody yet whose trust could break, so it is active at once. */
  async begin(): Promise<void> {
    const id = newId(this.#options.random);
    await this.#options.audit.record({
      kind: "authority",
      authority: id,
      status: "active",
      by: "first start",
    });
    const made = await this.#options.authorities.create(id);
    const first = {
      authority: id,
      certificate: Buffer.from(made.der).toString("base64"),
      notAfter: made.notAfter,
    };
    await this.#options.state.change(() => [
      authorityChange(first, "active"),
      this.#bundle([{ ...first, status: "active" }]),
    ]);
  }

  /** Makes and publishes the next authority. @throws IssuerError ROTATION_RUNNING */
  async start(by: string): Promise<RotationProgress> {
    const { authorities, audit, state, random } = this.#options;
    this.#refuseSecond();
    const active = authorities.active();
    if (active === undefined)
      throw new IssuerError("AUTHORITY_MISSING", "there is no active authority to rotate from");
    // The record first: while the audit stream is away no key is made, however often it is tried.
    const id = newId(random);
    await audit.record({ kind: "authority", authority: id, status: "prepared", by });
    const made = await authorities.create(id);
    const next = {
      authority: id,
      certificate: Buffer.from(made.der).toString("base64"),
      notAfter: made.notAfter,
    };
    const rotation = newId(random);
    await state.change(() => {
      this.#refuseSecond();
      return [
        authorityChange(next, "prepared"),
        this.#bundle([...authorities.trusted(), { ...next, status: "prepared" }]),
        this.#step({
          rotation,
          step: "prepare",
          from: active.authority,
          to: next.authority,
          startedAt: this.#options.clock.now(),
        }),
      ];
    });
    this.#options.log.info(
      { rotation, authority: next.authority },
      "new authority prepared; its root is in every bundle from now on",
    );
    return this.progress();
  }

  progress(): RotationProgress {
    const rotation = this.#options.state.get("rotation-progress", rotationKey);
    const facts = this.#facts();
    const live = liveNodes(facts).length;
    if (rotation === undefined || rotation.step === "done")
      return { rotation: rotation?.rotation ?? "", step: "done", liveNodes: live, waiting: [] };
    return {
      rotation: rotation.rotation,
      step: rotation.step,
      liveNodes: live,
      waiting: this.#waiting(rotation, facts),
    };
  }

  /** Takes every step whose gate is met. Called after each acknowledgement and now and then: gates also open with time. */
  advance(): Promise<void> {
    const result = this.#advancing.then(() => this.#advance());
    this.#advancing = result.catch(() => undefined);
    return result;
  }

  async #advance(): Promise<void> {
    for (let rotation = this.running(); rotation !== undefined; rotation = this.running()) {
      const waiting = this.#waiting(rotation, this.#facts());
      if (waiting.length > 0 && !this.#isOutOfTime(rotation)) return;
      if (waiting.length > 0) await this.#passBy(rotation, waiting);
      await this.#take(rotation);
    }
  }

  /** A gate that never opens would end in an authority that has ended, for everybody: in its last tenth those who wait are passed by. */
  #isOutOfTime(rotation: RotationState): boolean {
    const from = this.#options.authorities.find(rotation.from);
    return (
      from !== undefined &&
      from.notAfter - this.#options.clock.now() < this.#options.authorityLifetimeMs / 10
    );
  }

  async #passBy(rotation: RotationState, waiting: readonly Waiting[]): Promise<void> {
    const named = [...new Set(waiting.map(({ node, consumer }) => `${node} ${consumer}`.trim()))];
    this.#options.log.error(
      {
        alarm: "rotation-forced",
        rotation: rotation.rotation,
        step: rotation.step,
        passed: named.slice(0, 20),
      },
      "the old authority ends soon: the rotation goes on without these",
    );
    const by =
      `rotation ${rotation.rotation}, step ${rotation.step}: out of time, passing ${named.length}: ${named.join(", ")}`.slice(
        0,
        2000,
      );
    await this.#options.audit.record({
      kind: "authority",
      authority: rotation.to,
      status: "active",
      by,
    });
  }

  async #take(rotation: RotationState): Promise<void> {
    switch (rotation.step) {
      case "prepare":
      case "activate":
        await this.#activate(rotation);
        return;
      case "reissue":
        await this.#options.state.change(() => [this.#step({ ...rotation, step: "done" })]);
        this.#options.log.info(
          { rotation: rotation.rotation },
          "rotation done: no live SVID is left on the old authority",
        );
        return;
      case "done":
        return;
    }
  }

  #refuseSecond(): void {
    const running = this.running();
    if (running === undefined) return;
    throw new IssuerError(
      "ROTATION_RUNNING",
      `rotation ${running.rotation} is under way (step ${running.step}); \`herald ca rotate --watch\` follows it`,
    );
  }

  async #activate(rotation: RotationState): Promise<void> {
    const { authorities, audit, state, log } = this.#options;
    const from = authorities.find(rotation.from);
    const to = authorities.find(rotation.to);
    if (from === undefined || to === undefined)
      throw new IssuerError(
        "AUTHORITY_MISSING",
        "an authority of the running rotation is not in the state any more",
      );
    await audit.record({
      kind: "authority",
      authority: to.authority,
      status: "active",
      by: `rotation ${rotation.rotation}`,
    });
    const facts = authorities.trusted().map((authority): AuthorityFacts => {
      if (authority.authority === from.authority) return { ...authority, status: "old" };
      return authority.authority === to.authority ? { ...authority, status: "active" } : authority;
    });
    // A crash may leave the first of these without the rest, so the new one comes first: at no moment is there no active authority.
    await state.change(() => [
      authorityChange(to, "active"),
      authorityChange(from, "old"),
      this.#bundle(facts),
      this.#step({ ...rotation, step: "reissue" }),
    ]);
    log.info(
      { rotation: rotation.rotation, authority: to.authority },
      "authority activated; nodes sign anew",
    );
  }

  #waiting(rotation: RotationState, facts: GateFacts): readonly Waiting[] {
    const { state, trustDomain, authorities } = this.#options;
    const key = bundleKey(trustDomain);
    const bundle = state.ref(key)?.version;
    switch (rotation.step) {
      case "prepare":
      case "activate":
        if (bundle === undefined) return [];
        return waitingForBundle(facts, {
          trustDomain,
          sequence: spiffeSequence(bundle),
          key,
          version: bundle,
        });
      case "reissue": {
        const from = authorities.find(rotation.from);
        if (from === undefined) return [];
        return waitingForReissue(
          facts,
          parseCertificate(Buffer.from(from.certificate, "base64")).subjectKeyId ?? "",
        );
      }
      case "done":
        return [];
    }
  }

  #facts(): GateFacts {
    const { state, clock, acknowledgements } = this.#options;
    return {
      now: clock.now(),
      longestLifeMs: this.#options.longestLifeMs,
      records: state.list("node-record"),
      ackOf: (node) => acknowledgements.newest(node),
    };
  }

  #bundle(authorities: readonly AuthorityFacts[]): Change {
    const { trustDomain, state, brokerPins } = this.#options;
    return bundleChange({ trustDomain, state, brokerPins, authorities });
  }

  #step(progress: Pick<RotationState, "rotation" | "step" | "from" | "to" | "startedAt">): Change {
    const { rotation, step, from, to, startedAt } = progress;
    return {
      kind: "rotation-progress",
      key: rotationKey,
      content: (stamp) => ({ ...stamp, rotation, step, from, to, startedAt }),
    };
  }
}
