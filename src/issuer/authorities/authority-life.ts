import type { AuthorityStatus } from "../../core/envelope/payloads.ts";
import { IssuerError } from "../error.ts";

/**
 * What can become of an authority. `retire`: another one signs from here on. `expire`: its notAfter is over. The rest are an operator's orders, or
 * a rotation's steps.
 */
export type AuthorityOrder = "activate" | "retire" | "taint" | "revoke" | "expire";

/** Why an order does not fit a status, and what to do instead. */
interface Misfit {
  readonly reason: string;
  /** A command line. */
  readonly cure: string;
}

type Transitions = Readonly<
  Record<AuthorityStatus, Readonly<Record<AuthorityOrder, AuthorityStatus | Misfit>>>
>;

const rotate = "herald ca rotate";
const list = "herald ca list";

function everything(misfit: Misfit): Readonly<Record<AuthorityOrder, Misfit>> {
  return { activate: misfit, retire: misfit, taint: misfit, revoke: misfit, expire: misfit };
}

const isRevoked = { reason: "is revoked, for good", cure: rotate };
const isExpired = { reason: "has expired, for good", cure: rotate };
const signsNot = { reason: "does not sign", cure: list };

const transitions: Transitions = {
  prepared: {
    activate: "active",
    retire: signsNot,
    taint: {
      reason: "has signed nothing, so there is nothing to replace: revoke it",
      cure: "herald ca revoke",
    },
    revoke: "revoked",
    expire: "expired",
  },
  active: {
    activate: { reason: "signs already", cure: list },
    retire: "old",
    taint: "tainted",
    revoke: {
      reason: "signs: taint it, which brings another one into its place and then revokes it",
      cure: "herald ca taint",
    },
    expire: "expired",
  },
  old: {
    activate: { reason: "has been replaced: make a new one", cure: rotate },
    retire: signsNot,
    taint: "tainted",
    revoke: "revoked",
    expire: "expired",
  },
  tainted: {
    activate: { reason: "is tainted, and must sign nothing", cure: rotate },
    retire: signsNot,
    taint: { reason: "is tainted already", cure: "herald ca rotate --watch" },
    revoke: "revoked",
    expire: "expired",
  },
  revoked: everything(isRevoked),
  expired: everything(isExpired),
};

/** The status after an order, or why there is none. Pure: who still depends on the authority is the gates' business. */
export function statusAfter(
  status: AuthorityStatus,
  order: AuthorityOrder,
): AuthorityStatus | Misfit {
  return transitions[status][order];
}

/** As {@link statusAfter}. @throws IssuerError AUTHORITY_STATUS, naming the cure */
export function obey(
  { authority, status }: { readonly authority: string; readonly status: AuthorityStatus },
  order: AuthorityOrder,
): AuthorityStatus {
  const next = statusAfter(status, order);
  if (typeof next === "string") return next;
  throw new IssuerError(
    "AUTHORITY_STATUS",
    `cannot ${order} authority ${authority}: it ${next.reason} (\`${next.cure}\`)`,
  );
}

/** How an authority that leaves the bundle is called from then on. */
export function endOf(
  authority: {
    readonly authority: string;
    readonly status: AuthorityStatus;
    readonly notAfter: number;
  },
  now: number,
): AuthorityStatus {
  if (!isTrusted(authority.status)) return authority.status;
  return obey(authority, authority.notAfter <= now ? "expire" : "revoke");
}

/** Is its root in the bundle? */
export function isTrusted(status: AuthorityStatus): boolean {
  switch (status) {
    case "prepared":
    case "active":
    case "old":
    case "tainted":
      return true;
    case "revoked":
    case "expired":
      return false;
  }
}
