import type { Bundle } from "../core/bundle/bundle.ts";
import type { Operator } from "../core/envelope/audit-payloads.ts";
import { type AdminEntry, isAdmin } from "../core/policy/admins.ts";
import type { SpiffeId, TrustDomain } from "../core/spiffe/spiffe-id.ts";
import { trustDomainOf } from "../core/spiffe/spiffe-id.ts";
import { type VerifiedSvid, verifyX509Svid } from "../core/svid/verify.ts";
import { AdminError } from "../issuer/adapters/admin-calls.ts";
import type { Clock } from "../kit/clock.ts";

/** What it depends on who may give orders over TLS; all of it as it stands when it is asked. */
export interface AdminRules {
  readonly trustDomain: TrustDomain;
  /** The trust domain's own; undefined before the first. */
  readonly bundle: () => Bundle | undefined;
  /** Is this certificate, DER, one of Herald's own authorities? Below an operator's root others may sign as well, and their word is no entry's. */
  readonly isOwnAuthority: (certificate: Uint8Array) => boolean;
  readonly entries: () => readonly (AdminEntry & { readonly id: string })[];
  /** For which entry the SVID of this serial was issued; undefined where that is not known, or for none. */
  readonly entryOf: (serial: string) => string | undefined;
  /** Has the SVID of this serial been revoked? Lower-case hex. */
  readonly isRevoked: (serial: string) => boolean;
  readonly clock: Clock;
}

/**
 * Whose chain it is, by this trust domain's own bundle as it stands now: whatever other bundles there are, administrators are our own.
 * @throws SvidError
 */
export function authenticateAdmin(chain: readonly Uint8Array[], rules: AdminRules): VerifiedSvid {
  const { trustDomain, clock } = rules;
  const bundle = rules.bundle();
  const own = new Map(bundle === undefined ? [] : [[trustDomain, bundle] as const]);
  return verifyX509Svid(chain, own, clock.now());
}

/** @throws AdminError NOT_PERMITTED */
export function authoriseAdmin({ id, leaf, authority }: VerifiedSvid, rules: AdminRules): Operator {
  const refuse = (why: string): never => {
    throw new AdminError("NOT_PERMITTED", `${id} may not give orders to this issuer: ${why}`);
  };
  if (trustDomainOf(id) !== rules.trustDomain)
    refuse("it is of another trust domain; use an SVID of this one");
  if (!rules.isOwnAuthority(authority.der))
    refuse("its SVID was signed by another CA below the same root; use one of Herald's");
  if (rules.isRevoked(leaf.serial)) refuse("its SVID is revoked; fetch a new one");
  const from = rules.entryOf(leaf.serial);
  // Another entry, or a template, may give the same SPIFFE ID to somebody else: only the one that this SVID is of speaks for it.
  const entries = rules.entries().filter((entry) => from === undefined || entry.id === from);
  if (!isAdmin(entries, id as SpiffeId, rules.clock.now()))
    refuse("no entry that is in force makes it an administrator; mark one with admin");
  return { kind: "svid", id, serial: leaf.serial };
}
