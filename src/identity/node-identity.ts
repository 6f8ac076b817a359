import { generateKeyPairSync } from "node:crypto";
import type { EnvelopeSigner } from "../core/envelope/envelope.ts";
import { base32, token26 } from "../core/envelope/object-keys.ts";
import type { HeadRef } from "../core/envelope/payloads.ts";
import { openSecret } from "../core/envelope/sealed-secret.ts";
import { nodeSigner, spkiOf } from "../core/envelope/signers.ts";
import type { SpiffeId, TrustDomain } from "../core/spiffe/spiffe-id.ts";
import { type Certificate, parseCertificate } from "../core/x509/certificate.ts";
import { createCsr } from "../core/x509/csr.ts";
import type { KeyMaker, KeyPair } from "../core/x509/key-pair.ts";
import type { Clock } from "../kit/clock.ts";
import type { Log } from "../kit/log.ts";
import type { Random } from "../kit/random.ts";
import type { AskedIdentity, EnrolmentProof } from "./enrolment-proof.ts";
import { IdentityError } from "./error.ts";
import type { IssuerClient } from "./issuer-client.ts";
import type { AskIssuer, IdentityStore, KeptIdentity, PostIssuer } from "./ports.ts";
import { isOfOther, renewAt } from "./renewal.ts";
import type { SvidUse } from "./svids-in-use.ts";

export interface NodeIdentityOptions {
  readonly trustDomain: TrustDomain;
  readonly client: IssuerClient;
  readonly store: IdentityStore;
  readonly post: PostIssuer;
  readonly keys: KeyMaker;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** The node's own key and SVID: enrolled once by a join string, renewed with a new key each time, kept on disk. */
export class NodeIdentity {
  readonly #options: NodeIdentityOptions;
  #kept: KeptIdentity;
  #signer: EnvelopeSigner;
  #leaf: Certificate;
  /** Chance fixed for this SVID, so that asking twice when to renew gives one answer. */
  #spread: number;
  /** The authority that was known to sign when this SVID was asked for. */
  #askedUnder = "";
  #receivedAt: number;
  /** A renewal under way: what comes may be by the authority that was known to sign. */
  #asked: readonly SvidUse[] = [];

  private constructor(options: NodeIdentityOptions, kept: KeptIdentity) {
    this.#options = options;
    this.#kept = kept;
    this.#signer = nodeSigner(kept.privateKey);
    this.#leaf = leafOf(kept.chain);
    this.#spread = options.random.fraction();
    this.#receivedAt = options.clock.now();
  }

  /** The identity on disk, or undefined for a node that has to enrol. */
  static async resume(options: NodeIdentityOptions): Promise<NodeIdentity | undefined> {
    const kept = await options.store.load();
    return kept === undefined ? undefined : new NodeIdentity(options, kept);
  }

  /**
   * Asks to be let in, by whatever proof this machine has. The key is on disk before the request leaves, so that a crash, or a lost answer, can be
   * followed by the same request.
   *
   * @throws IdentityError REFUSED, NO_ANSWER, BAD_REPLY
   */
  static async enrol(
    options: NodeIdentityOptions,
    proof: EnrolmentProof,
  ): Promise<{ readonly identity: NodeIdentity; readonly state: readonly Uint8Array[] }> {
    const { client, store, trustDomain, random } = options;
    const pair = await pendingPair(options);
    const sealing = generateKeyPairSync("x25519");
    const asked: AskedIdentity = {
      td: trustDomain,
      pin: proof.pin,
      nonce: base32(random.bytes(16)),
      csr: Buffer.from(await createCsr(pair)).toString("base64"),
      sealingKey: sealing.publicKey.export({ format: "der", type: "spki" }).toString("base64"),
    };
    const { answer, request } = await client.ask({
      ...proof.question(asked),
      answer: "enrol-reply",
      send: (bytes) => options.post("/v1/enrol", bytes),
    });
    const { node, chain, bus, sealedBusSeed, state } = answer.payload;
    const busSeed = await openSecret(sealedBusSeed, sealing.privateKey, request);
    const kept: KeptIdentity = {
      node,
      pin: proof.pin,
      privateKey: pair.privateKey,
      chain: decode(chain),
      bus,
      busSeed,
    };
    refuseForeignChain(kept.chain, pair, node);
    await store.save(kept);
    await store.savePending(undefined);
    return { identity: new NodeIdentity(options, kept), state: decode(state) };
  }

  get id(): SpiffeId {
    return this.#kept.node;
  }

  /** The node's token in subjects. */
  get token(): string {
    return token26(this.#kept.node);
  }

  get kept(): KeptIdentity {
    return this.#kept;
  }

  /** notAfter of the node SVID, milliseconds. */
  get expiresAt(): number {
    return this.#leaf.notAfter;
  }

  /** Subject key id of the authority that signed the node SVID. */
  get authority(): string {
    return this.#leaf.authorityKeyId ?? "";
  }

  /** For acknowledgements: the node SVID, and one that is asked for and may come at any moment. */
  svids(): readonly SvidUse[] {
    const { serial, notAfter: until } = this.#leaf;
    return [{ serial, authority: this.authority, until }, ...this.#asked];
  }

  /** Signs this node's requests. */
  get signer(): EnvelopeSigner {
    return this.#signer;
  }

  /** When the node SVID should be renewed. */
  get renewAt(): number {
    return renewAt({ ...this.#leaf, receivedAt: this.#receivedAt }, this.#spread);
  }

  /** True when SVIDs are signed by another authority than the one that signed the node's. */
  isSignedByOther(activeAuthority: string): boolean {
    return isOfOther({ authority: this.authority, askedUnder: this.#askedUnder }, activeAuthority);
  }

  /**
   * Gets a certificate for a new key, by the bus while it answers, by HTTPS otherwise; the old key signs the request, the new one everything after.
   *
   * @throws IdentityError
   */
  async renew(ask: AskIssuer, activeAuthority: string): Promise<void> {
    const until = this.#options.clock.now() + (this.#leaf.notAfter - this.#leaf.notBefore);
    this.#asked = [{ serial: "asked", authority: activeAuthority, until }];
    try {
      await this.#renew(ask, activeAuthority);
    } finally {
      this.#asked = [];
    }
  }

  async #renew(ask: AskIssuer, activeAuthority: string): Promise<void> {
    const { client, store, post } = this.#options;
    const pair = await pendingPair(this.#options, this.#leaf.spki);
    const csr = Buffer.from(await createCsr(pair)).toString("base64");
    const stamp = client.stamp(this.id);
    let byBus = true;
    const { answer } = await client.ask({
      kind: "renew-request",
      answer: "renew-reply",
      payload: (at) => ({ ...stamp, at, csr }),
      signer: this.signer,
      // Asked again, it goes the other way first: a broker that answers with rubbish must not keep a node from renewing.
      send: async (bytes, timeoutMs) => {
        const bus = () => ask("renew", bytes, { timeoutMs });
        const https = () => post("/v1/renew", bytes);
        const [first, second] = byBus ? [bus, https] : [https, bus];
        byBus = !byBus;
        return await first().catch(second);
      },
    });
    const chain = decode(answer.payload.chain);
    refuseForeignChain(chain, pair, this.id);
    const kept: KeptIdentity = {
      ...this.#kept,
      privateKey: pair.privateKey,
      chain,
      bus: answer.payload.bus,
    };
    await store.save(kept);
    await store.savePending(undefined);
    this.#kept = kept;
    this.#signer = nodeSigner(kept.privateKey);
    this.#leaf = leafOf(chain);
    this.#spread = this.#options.random.fraction();
    this.#askedUnder = activeAuthority;
    this.#receivedAt = this.#options.clock.now();
    this.#options.log.info(
      { node: this.id, expires: new Date(this.expiresAt).toISOString() },
      "node SVID renewed",
    );
  }

  /** The newest head and state, straight from an issuer; envelopes, to be judged like everything else. */
  async askState(ask: AskIssuer, highest: HeadRef | null): Promise<readonly Uint8Array[]> {
    const { client, random } = this.#options;
    const stamp = client.stamp(this.id);
    const nonce = base32(random.bytes(16));
    const { answer } = await client.ask({
      kind: "state-request",
      answer: "state-reply",
      payload: (at) => ({ ...stamp, at, nonce, highest }),
      signer: this.signer,
      send: (bytes, timeoutMs) => ask("state", bytes, { timeoutMs }),
    });
    if (answer.payload.nonce !== nonce)
      throw new IdentityError("BAD_REPLY", "the state told is the answer to another nonce");
    return decode(
      [answer.payload.head, ...answer.payload.state].filter((envelope) => envelope !== ""),
    );
  }
}

/**
 * The key of a request that was asked before, or a new one, kept before it is used. A pending key that is in use already was left by a
 * crash right after its certificate was saved: renewing with it again would retire the very key that the node goes on with.
 */
async function pendingPair(options: NodeIdentityOptions, inUse?: Uint8Array): Promise<KeyPair> {
  const pending = await options.store.loadPending();
  const spki = pending === undefined ? undefined : spkiOf(pending.privateKey);
  if (pending !== undefined && spki !== undefined && (inUse === undefined || !spki.equals(inUse)))
    return { privateKey: pending.privateKey, spki };
  const pair = await options.keys.p256();
  await options.store.savePending({ privateKey: pair.privateKey });
  return pair;
}

function refuseForeignChain(chain: readonly Uint8Array[], pair: KeyPair, node: SpiffeId): void {
  const leaf = leafOf(chain);
  if (Buffer.compare(leaf.spki, pair.spki) !== 0)
    throw new IdentityError(
      "BAD_REPLY",
      "the certificate is for another key than the one that was asked for",
    );
  if (leaf.uris.length !== 1 || leaf.uris[0] !== node)
    throw new IdentityError("BAD_REPLY", `the certificate is not one for ${node}`);
}

function leafOf(chain: readonly Uint8Array[]): Certificate {
  const [leaf] = chain;
  if (leaf === undefined) throw new IdentityError("BAD_REPLY", "the certificate chain is empty");
  return parseCertificate(leaf);
}

function decode(written: readonly string[]): readonly Uint8Array[] {
  return written.map((base64) => Buffer.from(base64, "base64"));
}
