import {
  type KeyFinder,
  type Opened,
  openEnvelope,
  verifyingKey,
} from "../../../../src/core/envelope/envelope.ts";
import { EnvelopeError } from "../../../../src/core/envelope/error.ts";
import { type Kind, kinds, type Role } from "../../../../src/core/envelope/kinds.ts";
import { ControlTrust, onlyKey } from "../../../../src/core/envelope/trust.ts";
import { now, pin, spki, trustDomain } from "./keys.ts";

/** A verifier for the envelopes of one role, as the reader of such envelopes has it. */
export function finderFor(
  role: Role,
  options: { readonly revoked?: readonly string[] } = {},
): KeyFinder {
  switch (role) {
    case "token":
      return onlyKey("token", verifyingKey(spki.token, "EdDSA"));
    case "node":
      return onlyKey("node", verifyingKey(spki.node, "ES256"));
    case "operator-ca":
      return onlyKey("operator-ca", verifyingKey(spki["operator-ca"], "ES384"));
    case "root":
    case "control": {
      const trust = new ControlTrust({ trustDomain, pin });
      trust.revoke(options.revoked ?? []);
      return trust.at(now);
    }
  }
}

export function openAs<K extends Kind>(bytes: Uint8Array, kind: K): Opened<K> {
  return openEnvelope(bytes, [kind], finderFor(kinds[kind].role));
}

/** "ok", or the code of the refusal. Anything but an EnvelopeError is a failure of the test. */
export function outcomeOf(run: () => unknown): string {
  try {
    run();
    return "ok";
  } catch (thrown) {
    if (thrown instanceof EnvelopeError) return thrown.code;
    throw thrown;
  }
}
