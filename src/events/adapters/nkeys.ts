import { createUser } from "@nats-io/nkeys";

/** The key by which a program logs in to the broker: the broker's configuration names the public half. */
export interface Nkeys {
  /** `SU...`: a secret. */
  readonly seed: string;
  /** `U...` */
  readonly publicKey: string;
}

/** A fresh user nkey. The broker never learns the seed: it is asked to sign a nonce (Ed25519). */
export function makeNkeys(): Nkeys {
  const pair = createUser();
  const seed = new TextDecoder().decode(pair.getSeed());
  const publicKey = pair.getPublicKey();
  pair.clear();
  return { seed, publicKey };
}
