import { trustDomainId } from "../core/spiffe/spiffe-id.ts";
import type { Announcer } from "./announcer.ts";
import { AuthorityCare } from "./authorities/authority-care.ts";
import { AuthorityMoves, type AuthorityMovesOptions } from "./authorities/authority-moves.ts";
import { AuthorityOrders } from "./authorities/authority-orders.ts";
import { Rotation } from "./authorities/rotation.ts";
import { RotationGates, type RotationGatesOptions } from "./authorities/rotation-gates.ts";
import { Turns } from "./authorities/turns.ts";
import { type IssuerOptions, longestLifeMs } from "./options.ts";

/** All that has to do with the life of authorities, connected. */
export interface AuthorityMachine {
  readonly gates: RotationGates;
  readonly rotation: Rotation;
  readonly orders: AuthorityOrders;
  readonly care: AuthorityCare;
}

type Derived = Pick<AuthorityMovesOptions, "brokerPins" | "announce"> &
  Pick<RotationGatesOptions, "longestLifeMs" | "lostAfterMs">;

/** One thing at a time happens to authorities: they share a {@link Turns}. */
export function authorityMachine(
  options: Omit<AuthorityMovesOptions & RotationGatesOptions, keyof Derived> &
    Pick<IssuerOptions, "settings" | "bus" | "keys"> & { readonly announcer: Announcer },
): AuthorityMachine {
  const { settings, bus, announcer, trustDomain } = options;
  const derived: Derived = {
    brokerPins: bus.brokerPins,
    announce: (type, data) => announcer.announce(type, trustDomainId(trustDomain), data),
    longestLifeMs: longestLifeMs(settings),
    lostAfterMs: settings.lostAfterMs,
  };
  const known = { ...options, ...derived };
  const gates = new RotationGates(known);
  const parts = { ...known, gates, moves: new AuthorityMoves(known), turns: new Turns() };
  return {
    gates,
    rotation: new Rotation(parts),
    orders: new AuthorityOrders(parts),
    care: new AuthorityCare(parts),
  };
}
