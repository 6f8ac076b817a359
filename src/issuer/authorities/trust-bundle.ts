import { formatBundle } from "../../core/bundle/document.ts";
import { bundleKey, revocationsKey } from "../../core/envelope/object-keys.ts";
import { spiffeSequence, zeroVersion } from "../../core/envelope/version.ts";
import type { TrustDomain } from "../../core/spiffe/spiffe-id.ts";
import type { Change } from "../state/change.ts";
import type { SignedState } from "../state/signed-state.ts";
import { type AuthorityFacts, subjectKeyIdOf } from "./authorities.ts";
import { isTrusted } from "./authority-life.ts";

/** How often federated partners should look again, seconds; nodes are pushed to. */
const refreshHintSeconds = 300;

/** What a bundle is made of. */
export interface BundleFacts {
  readonly trustDomain: TrustDomain;
  readonly state: Pick<SignedState, "ref">;
  readonly brokerPins: readonly string[];
  /** Those to be trusted, as they will stand after the change this is part of. */
  readonly authorities: readonly AuthorityFacts[];
}

/** The change that writes the own bundle: the roots of every authority that is trusted, which of them signs, and which are tainted. A root that none needs leaves it. */
export function bundleChange(facts: BundleFacts): Change {
  const { trustDomain, state, brokerPins } = facts;
  const trusted = facts.authorities.filter(({ status }) => isTrusted(status));
  const active = trusted.findLast((authority) => authority.status === "active");
  return {
    kind: "bundle",
    key: bundleKey(trustDomain),
    trusts: trusted,
    content: (stamp) => ({
      ...stamp,
      document: formatBundle({
        trustDomain,
        sequence: spiffeSequence(stamp.version),
        refreshHintSeconds,
        x509Authorities: rootsOf(trusted),
        jwtAuthorities: [],
      }),
      revocations: state.ref(revocationsKey(trustDomain))?.version ?? zeroVersion,
      activeAuthority: active === undefined ? "" : subjectKeyIdOf(active),
      taintedAuthorities: trusted.filter(({ status }) => status === "tainted").map(subjectKeyIdOf),
      brokerPins,
    }),
  };
}

/** Each once: authorities below one upstream share its roots. */
function rootsOf(trusted: readonly AuthorityFacts[]): readonly Uint8Array[] {
  const roots = new Set(trusted.flatMap(({ anchors }) => anchors));
  return [...roots].map((root) => Buffer.from(root, "base64"));
}
