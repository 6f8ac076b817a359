import type { AuthorityState, RotationState } from "../../core/envelope/authority-payloads.ts";
import { bundleKey } from "../../core/envelope/object-keys.ts";
import { spiffeSequence, type Version, zeroVersion } from "../../core/envelope/version.ts";
import type { SpiffeId, TrustDomain } from "../../core/spiffe/spiffe-id.ts";
import type { Clock } from "../../kit/clock.ts";
import type { SignedState } from "../state/signed-state.ts";
import type { Acknowledgements } from "./acknowledgements.ts";
import { type Authorities, subjectKeyIdOf } from "./authorities.ts";
import { isTrusted } from "./authority-life.ts";
import {
  bundleGate,
  type Gate,
  type GateBundle,
  type GateFacts,
  liveNodes,
  type OldAuthority,
  reissueGate,
} from "./gate.ts";
import type { IssuedEnds } from "./issued-ends.ts";

/** A key in wrong hands does not wait a quarter of an hour for the silent. Two ways of an acknowledgement that is spread as far as any is. */
const urgentLostAfterMs = 120_000;

const open: Gate = { waiting: [], passed: [] };

export interface RotationGatesOptions {
  readonly trustDomain: TrustDomain;
  readonly state: SignedState;
  readonly authorities: Authorities;
  readonly acknowledgements: Acknowledgements;
  readonly issued: IssuedEnds;
  /** While their history is read, `issued` lacks some of what an earlier process signed. */
  readonly svids: { readonly history: "reading" | "whole" | "gap" };
  readonly clock: Clock;
  /** Of any SVID, a node's or a workload's. */
  readonly longestLifeMs: number;
  readonly lostAfterMs: number;
}

/** Live SVIDs that a node holds of an authority, as it told. */
export interface NodeUse {
  readonly node: SpiffeId;
  readonly svids: number;
  readonly until: number;
}

/** The gates of `gate.ts`, asked about the state as it is. */
export class RotationGates {
  readonly #options: RotationGatesOptions;

  constructor(options: RotationGatesOptions) {
    this.#options = options;
  }

  liveNodes(): number {
    return liveNodes(this.#facts()).length;
  }

  /** Whom the step under way waits for. */
  of(rotation: RotationState): Gate {
    const facts = this.#facts(rotation);
    const bundle = this.#bundle(rotation.gateFrom);
    switch (rotation.step) {
      case "prepare":
      case "remove":
        return bundleGate(facts, bundle);
      case "reissue": {
        const from = this.#options.authorities.find(rotation.from);
        // A crash may have left it out of trust and the step as it was.
        if (from === undefined || !isTrusted(from.status)) return open;
        return reissueGate(facts, bundle, this.#old(from));
      }
      case "done":
      case "aborted":
        return open;
    }
  }

  /** Who holds live SVIDs of an authority that signs no more. */
  holding(authority: AuthorityState): Gate {
    return reissueGate(this.#facts(), this.#bundle(null), this.#old(authority));
  }

  /** What nodes told of an authority, whatever its status. */
  uses(authority: AuthorityState): readonly NodeUse[] {
    const subjectKeyId = subjectKeyIdOf(authority);
    const facts = this.#facts();
    return liveNodes(facts).flatMap(({ node }) =>
      (facts.ackOf(node)?.authorities ?? [])
        .filter((use) => use.authority === subjectKeyId && use.until > facts.now)
        .map(({ svids, until }) => ({ node, svids, until })),
    );
  }

  #old(authority: AuthorityState): OldAuthority {
    const { notAfter, retiredAt, at, mintedUntil } = authority;
    // The first release did not write when an authority ceased to sign; its object was last written then.
    const retired = retiredAt === 0 ? at : retiredAt;
    return {
      authority: authority.authority,
      subjectKeyId: subjectKeyIdOf(authority),
      lastEnd: Math.min(notAfter, retired + this.#options.longestLifeMs),
      mintedUntil: Math.min(notAfter, mintedUntil),
      unread: this.#options.svids.history === "reading",
    };
  }

  /** Any bundle above a version; above none, it has to be the newest. */
  #bundle(gateFrom: Version | null): GateBundle {
    const { trustDomain, state } = this.#options;
    const key = bundleKey(trustDomain);
    const newest = state.ref(key)?.version ?? zeroVersion;
    const above = gateFrom ?? { ...newest, seq: newest.seq - 1n };
    return { trustDomain, key, above, aboveSequence: spiffeSequence(above) };
  }

  #facts(rotation?: RotationState): GateFacts {
    const { state, clock, acknowledgements, issued, longestLifeMs, lostAfterMs } = this.#options;
    const isUrgent = rotation?.taints === true;
    const { heardSince } = acknowledgements;
    return {
      now: clock.now(),
      longestLifeMs,
      records: state.list("node-record"),
      ackOf: (node) => acknowledgements.newest(node),
      issuedUntil: (node, authority) => issued.until(node, authority),
      lostAfterMs: isUrgent ? Math.min(urgentLostAfterMs, lostAfterMs) : lostAfterMs,
      // Urgent: whoever lives speaks of the new bundle, so silence counts from when there was one.
      heardSince: isUrgent ? Math.max(heardSince, rotation.stepAt) : heardSince,
      past: new Set(rotation?.past),
    };
  }
}
