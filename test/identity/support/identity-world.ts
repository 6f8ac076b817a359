import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { keyIdOf } from "../../../src/core/envelope/pae.ts";
import { spkiOf } from "../../../src/core/envelope/signers.ts";
import type { KeyPair } from "../../../src/core/x509/key-pair.ts";
import type { IssuerClient } from "../../../src/identity/issuer-client.ts";
import type { NodeIdentityOptions } from "../../../src/identity/node-identity.ts";
import type { IdentityStore, KeptIdentity, PendingKey } from "../../../src/identity/ports.ts";
import type { Clock } from "../../../src/kit/clock.ts";
import { silentLog } from "../../../src/kit/log.ts";
import { nodeKey, pin, trustDomain } from "../../core/envelope/support/keys.ts";
import { node } from "../../core/envelope/support/samples.ts";
import { makeAuthority, makeKey, makeLeaf, type WorldAuthority } from "../../support/ca-world.ts";
import { SeededRandom } from "../../support/seeded-random.ts";

const authority: WorldAuthority = makeAuthority();

/** A node SVID for the holder of this public key. */
export function nodeLeaf(spki: Uint8Array, id: string = node): Uint8Array {
  return makeLeaf(authority, { key: { ...makeKey(), spki }, id });
}

/** Crashes of a node's daemon, at the step of this name. */
export class Crash extends RangeError {}

/** The node's own disk in memory; it can crash the daemon right before or after a step. */
export class TestIdentityStore implements IdentityStore {
  identity: KeptIdentity | undefined;
  pending: PendingKey | undefined;
  readonly steps: string[] = [];
  /** `before save`, `after savePending`, … */
  crashAt: string | undefined;

  /** One that holds the identity of the samples' node, with the key of the tests. */
  static async enrolled(): Promise<TestIdentityStore> {
    const store = new TestIdentityStore();
    await store.save(keptOf(nodeKey));
    store.steps.length = 0;
    return store;
  }

  async load(): Promise<KeptIdentity | undefined> {
    return await Promise.resolve(this.identity);
  }

  async save(identity: KeptIdentity): Promise<void> {
    await this.#step("save", () => {
      this.identity = identity;
    });
  }

  async loadPending(): Promise<PendingKey | undefined> {
    return await Promise.resolve(this.pending);
  }

  async savePending(pending: PendingKey | undefined): Promise<void> {
    await this.#step(pending === undefined ? "clearPending" : "savePending", () => {
      this.pending = pending;
    });
  }

  async #step(name: string, run: () => void): Promise<void> {
    await Promise.resolve();
    if (this.crashAt === `before ${name}`) throw new Crash(this.crashAt);
    run();
    this.steps.push(name);
    if (this.crashAt === `after ${name}`) throw new Crash(this.crashAt);
  }
}

export function keptOf(privateKey: KeyObject): KeptIdentity {
  return {
    node,
    pin,
    privateKey,
    chain: [nodeLeaf(spkiOf(privateKey))],
    bus: { servers: ["tls://broker:4222"], brokerPins: ["b".repeat(64)] },
    busSeed: Buffer.from("SUASEED"),
  };
}

export function newPair(): KeyPair {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  return { privateKey, spki: spkiOf(privateKey) };
}

export const keyIdOfKey = (key: KeyObject): string => keyIdOf(spkiOf(key));

/** All that a node identity wants of the world; nobody answers its posts unless told. */
export function identityOptions(
  world: {
    readonly client: IssuerClient;
    readonly clock: Clock;
    readonly store: IdentityStore;
  } & Partial<NodeIdentityOptions>,
): NodeIdentityOptions {
  return {
    trustDomain,
    post: () => Promise.reject(new RangeError("no issuer")),
    keys: { p256: () => Promise.resolve(newPair()) },
    random: new SeededRandom(2),
    log: silentLog,
    ...world,
  };
}
