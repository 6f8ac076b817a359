import { openEnvelope, verifyingKey } from "../../core/envelope/envelope.ts";
import { formatJoinString, keyOfSeed } from "../../core/envelope/join-string.ts";
import { keyIdOf } from "../../core/envelope/pae.ts";
import type { EnrolRequest, TokenState } from "../../core/envelope/payloads.ts";
import { spkiOf } from "../../core/envelope/signers.ts";
import { type ControlTrust, onlyKey } from "../../core/envelope/trust.ts";
import { parseSpiffeId, type SpiffeId, trustDomainId } from "../../core/spiffe/spiffe-id.ts";
import type { Clock } from "../../kit/clock.ts";
import type { Log } from "../../kit/log.ts";
import type { Random } from "../../kit/random.ts";
import { newId } from "../identifiers.ts";
import { Refusal, refuseStale } from "../requests.ts";
import type { Change } from "../state/change.ts";
import type { SignedState } from "../state/signed-state.ts";
import type { Attested, NodeAttestor } from "./node-attestor.ts";

/** How long a join token can be redeemed. */
const tokenLifeMs = 600_000;

/** A token that ended this long ago is told from an unknown one no more: a new one is written in its place. */
const keptDeadMs = 24 * 3_600_000;

/** The index of tokens is read anew at most this often, however many unknown ones are tried. */
const reindexMs = 1000;

export interface JoinTokensOptions {
  readonly trust: ControlTrust;
  readonly state: SignedState;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** What an operator says of a node that is to join. */
export interface NewToken {
  readonly nodeName: string;
  readonly labels: Readonly<Record<string, string>>;
  /** The name is known: whoever redeems the token takes that node's place. */
  readonly replaces: boolean;
}

/** The attestor `join_token`: whoever holds the secret of a one-time token is the node that the token is for. */
export class JoinTokens implements NodeAttestor {
  readonly #options: JoinTokensOptions;
  /** Object key of a token by the id of its public key. */
  #index: ReadonlyMap<string, string> = new Map();
  #indexedAt = Number.NEGATIVE_INFINITY;

  constructor(options: JoinTokensOptions) {
    this.#options = options;
  }

  /** Which node a token of this name is for. */
  nodeOf(nodeName: string): SpiffeId {
    return parseSpiffeId(
      `${trustDomainId(this.#options.trust.trustDomain)}/herald/node/join_token/${nodeName}`,
    );
  }

  /** The join string is shown once; only its public half is kept. */
  async create(
    wanted: NewToken,
  ): Promise<{ readonly joinString: string; readonly expires: number }> {
    const { random, clock, trust, state } = this.#options;
    const id = newId(random);
    const seed = random.bytes(32);
    const expires = clock.now() + tokenLifeMs;
    const publicKey = spkiOf(keyOfSeed(seed)).toString("base64");
    await state.change(() => [
      {
        kind: "token",
        key: this.#freeKey(id),
        content: (stamp) => ({ ...stamp, ...wanted, token: id, publicKey, expires, usedBy: null }),
      },
    ]);
    this.#reindex();
    return { joinString: formatJoinString({ token: id, seed, pin: trust.pin }), expires };
  }

  attest(bytes: Uint8Array): Attested {
    let token: TokenState | undefined;
    const request = openEnvelope(bytes, ["enrol-request"], {
      keyFor: (kind, signature) => {
        token = this.#find(signature.keyid);
        if (token === undefined)
          throw new Refusal(
            "TOKEN_UNKNOWN",
            "no such join token; make one with `herald node token`",
          );
        const key = verifyingKey(Buffer.from(token.publicKey, "base64"), "EdDSA");
        return onlyKey("token", key).keyFor(kind, signature);
      },
    });
    const proven = this.#redeemable(request.payload, token);
    const { nodeName, csr, sealingKey } = request.payload;
    return {
      request: request.digest,
      node: this.nodeOf(nodeName),
      attestor: "join_token",
      labels: proven.labels,
      governs: [],
      csr,
      sealingKey,
      takesPlace: proven.replaces && proven.usedBy === null,
      by: `join_token ${proven.token}`,
      claim: (keyId) => this.#redemption(proven, keyId),
    };
  }

  #redeemable(payload: EnrolRequest, token: TokenState | undefined): TokenState {
    const { clock } = this.#options;
    const { trustDomain, pin } = this.#options.trust;
    if (token === undefined || payload.token !== token.token)
      throw new Refusal(
        "TOKEN_UNKNOWN",
        "the request names another token than it is signed with; make a new one with `herald node token`",
      );
    if (payload.td !== trustDomain || payload.pin !== pin) {
      throw new Refusal(
        "TOKEN_UNKNOWN",
        `the token is for another control root than ${trustDomain}'s; check the issuer's URL`,
      );
    }
    if (payload.nodeName !== token.nodeName)
      throw new Refusal(
        "NODE_NAME",
        `the token is for node ${token.nodeName}, not ${payload.nodeName}; make one with \`herald node token --name ${payload.nodeName}\``,
      );
    if (clock.now() > token.expires)
      throw new Refusal(
        "TOKEN_EXPIRED",
        "the token has expired; make a new one with `herald node token`",
      );
    refuseStale(payload.at, clock.now());
    return token;
  }

  #redemption(token: TokenState, keyId: string): readonly Change[] {
    const held = this.#options.state.get("token", token.key);
    if (held?.token === token.token && (held.usedBy === null || held.usedBy === keyId)) {
      return [
        {
          kind: "token",
          key: token.key,
          content: (stamp) => ({ ...held, ...stamp, usedBy: keyId }),
        },
      ];
    }
    this.#options.log.error(
      { alarm: "token-reuse", token: token.token, node: token.nodeName },
      "a join token was tried again with another key",
    );
    throw new Refusal(
      "TOKEN_USED",
      "the token was redeemed by another key; if that was not you, ban that node. Make a new token with `herald node token`",
    );
  }

  #find(keyId: string): TokenState | undefined {
    const now = this.#options.clock.now();
    if (!this.#index.has(keyId) && Math.abs(now - this.#indexedAt) >= reindexMs) this.#reindex();
    const key = this.#index.get(keyId);
    const token = key === undefined ? undefined : this.#options.state.get("token", key);
    // Another token may have been written in its place since.
    return token !== undefined && keyIdOfToken(token) === keyId ? token : undefined;
  }

  #reindex(): void {
    this.#indexedAt = this.#options.clock.now();
    this.#index = new Map(
      this.#options.state.list("token").map((token) => [keyIdOfToken(token), token.key]),
    );
  }

  /** State keeps every key for ever, so the places of dead tokens are used again: there are never more than tokens made in a day. */
  #freeKey(id: string): string {
    const before = this.#options.clock.now() - keptDeadMs;
    const dead = this.#options.state.list("token").find((token) => token.expires < before);
    return dead?.key ?? `token.${id}`;
  }
}

function keyIdOfToken(token: TokenState): string {
  return keyIdOf(Buffer.from(token.publicKey, "base64"));
}
