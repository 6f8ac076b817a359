import type { AuthorityState } from "../../core/envelope/authority-payloads.ts";
import type { TrustDomain } from "../../core/spiffe/spiffe-id.ts";
import type { Clock } from "../../kit/clock.ts";
import type { Log } from "../../kit/log.ts";
import type { Random } from "../../kit/random.ts";
import type { EventType } from "../announcer.ts";
import type { AuditChain } from "../audit/audit-chain.ts";
import { IssuerError } from "../error.ts";
import { newId } from "../identifiers.ts";
import type { Change } from "../state/change.ts";
import type { SignedState } from "../state/signed-state.ts";
import {
  type Authorities,
  type AuthorityFacts,
  authorityChange,
  hasLessLeft,
} from "./authorities.ts";
import { newRotation, type RotationFacts, refuseSecond, stepChange } from "./rotation-state.ts";
import { bundleChange } from "./trust-bundle.ts";

export interface AuthorityMovesOptions {
  readonly trustDomain: TrustDomain;
  readonly state: SignedState;
  readonly authorities: Authorities;
  readonly audit: AuditChain;
  readonly brokerPins: readonly string[];
  readonly announce: (type: EventType, data: Readonly<Record<string, unknown>>) => void;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** The steps of which operators' orders and the upkeep are made. Each is recorded before it is done, and done in one change of state. */
export class AuthorityMoves {
  readonly #options: AuthorityMovesOptions;

  constructor(options: AuthorityMovesOptions) {
    this.#options = options;
  }

  /** The prepared authority, or one made for it; to be brought into use. @throws IssuerError ROTATION_RUNNING, AUTHORITY_MISSING, UPSTREAM_*, KEY_* */
  async successor(by: string): Promise<AuthorityFacts> {
    refuseSecond(this.#options.state);
    this.mustSign();
    return this.prepared() ?? (await this.make(by));
  }

  /** @throws IssuerError ROTATION_RUNNING */
  async start(
    wanted: Pick<RotationFacts, "kind" | "step" | "taints"> & {
      readonly from: AuthorityFacts;
      readonly to: AuthorityFacts;
      readonly by: string;
    },
  ): Promise<void> {
    const { state, authorities, clock, random, log } = this.#options;
    const { kind, step, taints, by } = wanted;
    refuseSecond(state);
    const [from, to] = [wanted.from.authority, wanted.to.authority];
    const rotation = newId(random);
    const facts = newRotation({ rotation, kind, step, taints, from, to, startedAt: clock.now() });
    const isNew = authorities.find(to) === undefined;
    await state.change(() => [
      ...(isNew ? [authorityChange(wanted.to)] : []),
      stepChange(facts, step),
      this.bundle([...this.trustedBut(to), wanted.to]),
    ]);
    log.info({ rotation, kind, from, to, by }, "rotation begun");
    if (isNew) this.tellPrepared(wanted.to);
  }

  /** The record first: while the audit stream is away no key is made, however often it is tried. */
  async make(by: string): Promise<AuthorityFacts> {
    const { authorities, random } = this.#options;
    const id = newId(random);
    await this.record({ authority: id, status: "prepared", by });
    return await authorities.create(id);
  }

  async takeOut(gone: readonly AuthorityFacts[], by: string): Promise<void> {
    if (gone.length === 0) return;
    for (const { authority, status } of gone) await this.record({ authority, status, by });
    const ids = new Set(gone.map(({ authority }) => authority));
    await this.#options.state.change(() => [
      ...gone.map(authorityChange),
      this.bundle(
        this.#options.authorities.trusted().filter(({ authority }) => !ids.has(authority)),
      ),
    ]);
    for (const authority of ids) this.#options.announce("authority.revoked", { authority });
  }

  tellTainted(authority: string): void {
    this.#options.announce("authority.tainted", { authority });
  }

  tellPrepared({ authority }: AuthorityFacts): void {
    this.#options.log.info(
      { authority },
      "new authority prepared; its root is in every bundle from now on",
    );
    this.#options.announce("authority.prepared", { authority });
  }

  /** The newest that is prepared and has enough of its life ahead to be worth a rotation: a crash, or `ca prepare`, may have left one. */
  prepared(): AuthorityState | undefined {
    const { authorities, clock } = this.#options;
    return authorities
      .trusted()
      .findLast((one) => one.status === "prepared" && !hasLessLeft(one, 0.5, clock.now()));
  }

  /** The one that signs, unless its life is over. */
  active(): AuthorityState | undefined {
    return this.#options.authorities.trusted().findLast(({ status }) => status === "active");
  }

  /** @throws IssuerError AUTHORITY_MISSING */
  mustSign(): AuthorityState {
    const active = this.#options.authorities.active();
    if (active !== undefined) return active;
    throw new IssuerError("AUTHORITY_MISSING", "there is no active authority to rotate from");
  }

  trustedBut(id: string): readonly AuthorityFacts[] {
    return this.#options.authorities.trusted().filter(({ authority }) => authority !== id);
  }

  async record(
    of: Pick<AuthorityFacts, "authority" | "status"> & { readonly by: string },
  ): Promise<void> {
    const { authority, status, by } = of;
    await this.#options.audit.record({ kind: "authority", authority, status, by });
  }

  bundle(authorities: readonly AuthorityFacts[]): Change {
    const { trustDomain, state, brokerPins } = this.#options;
    return bundleChange({ trustDomain, state, brokerPins, authorities });
  }
}
