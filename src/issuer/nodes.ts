import type { Opened } from "../core/envelope/envelope.ts";
import { formatJoinString, keyOfSeed } from "../core/envelope/join-string.ts";
import { keyIdOf } from "../core/envelope/pae.ts";
import type { NodeRecordState, TokenState } from "../core/envelope/payloads.ts";
import { sealSecret } from "../core/envelope/sealed-secret.ts";
import { spkiOf } from "../core/envelope/signers.ts";
import {
  parseSpiffeId,
  type SpiffeId,
  type TrustDomain,
  trustDomainId,
} from "../core/spiffe/spiffe-id.ts";
import type { Clock } from "../kit/clock.ts";
import type { Log } from "../kit/log.ts";
import type { Random } from "../kit/random.ts";
import type { AuditChain } from "./audit-chain.ts";
import type { Authorities } from "./authorities.ts";
import type { Change } from "./change.ts";
import { openEnrolment, proveCsr, sealingKeyOf } from "./enrolment-proof.ts";
import { type Entries, refuseLabels } from "./entries.ts";
import { IssuerError } from "./error.ts";
import { newId } from "./identifiers.ts";
import { type Linted, lint, record, sign } from "./issuance.ts";
import { type Admitted, Refusal, recordKeyOf, refuseStale } from "./requests.ts";
import type { SignedState } from "./signed-state.ts";

/** How long a join token can be redeemed. */
const tokenLifeMs = 600_000;

/** For how long after its SVID's end a node may renew with its recorded key: a weekend without power re-enrols nothing by hand. */
const lateRenewalMs = 30 * 24 * 3_600_000;

/** Retired keys are kept this far back, to be told from unknown ones. */
const keptRetiredKeys = 16;

export interface NodesOptions {
  readonly trustDomain: TrustDomain;
  readonly pin: string;
  readonly state: SignedState;
  readonly entries: Entries;
  readonly authorities: Authorities;
  readonly audit: AuditChain;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly ttlSeconds: number;
  /** The NATS nkey seed that nodes share in this release. */
  readonly busSeed: Uint8Array;
}

/** What an operator says of a node that is to join. */
export interface NewToken {
  readonly nodeName: string;
  readonly labels: Readonly<Record<string, string>>;
  /** The name is known: whoever redeems the token takes that node's place. */
  readonly replaces: boolean;
}

/** An enrolment that went through. */
export interface Enrolled {
  readonly node: SpiffeId;
  readonly chain: readonly string[];
  readonly sealedBusSeed: string;
}

/** The nodes: their join tokens, enrolment by them, renewal, and the record of each one's key. */
export class Nodes {
  readonly #options: NodesOptions;
  #redeeming: Promise<unknown> = Promise.resolve();

  constructor(options: NodesOptions) {
    this.#options = options;
  }

  list(): readonly NodeRecordState[] {
    return this.#options.state.list("node-record").toSorted((a, b) => (a.node < b.node ? -1 : 1));
  }

  /** The join string is shown once; only its public half is kept. @throws IssuerError NODE_NAME_INVALID, NODE_NAME_TAKEN */
  async createToken(
    wanted: NewToken,
  ): Promise<{ readonly joinString: string; readonly expires: number }> {
    const { random, clock, pin, state } = this.#options;
    const { nodeName, labels, replaces } = wanted;
    refuseLabels(labels);
    if (!/^[a-z0-9-]{1,64}$/.test(nodeName)) {
      throw new IssuerError(
        "NODE_NAME_INVALID",
        `node name ${JSON.stringify(nodeName)}: use 1 to 64 of a-z, 0-9 and -`,
      );
    }
    const node = this.#idOf(nodeName);
    if (state.get("node-record", recordKeyOf(node)) !== undefined && !replaces) {
      throw new IssuerError(
        "NODE_NAME_TAKEN",
        `${node} is enrolled; a join token enrols a name once (ENR-05). Choose another name, or take the place of a lost node with --replace`,
      );
    }
    const id = newId(random);
    const seed = random.bytes(32);
    const expires = clock.now() + tokenLifeMs;
    const publicKey = spkiOf(keyOfSeed(seed)).toString("base64");
    await state.change(() => [
      {
        kind: "token",
        key: tokenKey(id),
        content: (stamp) => ({
          ...stamp,
          token: id,
          publicKey,
          expires,
          nodeName,
          labels,
          replaces,
          usedBy: null,
        }),
      },
    ]);
    return { joinString: formatJoinString({ token: id, seed, pin }), expires };
  }

  /**
   * Redeems a join token. The redemption is journalled before anything is signed; until the token expires the same node key may ask again.
   *
   * @throws Refusal
   */
  enrol(bytes: Uint8Array): Promise<{ readonly enrolled: Enrolled; readonly request: string }> {
    const result = this.#redeeming.then(() => this.#enrol(bytes));
    this.#redeeming = result.catch(() => undefined);
    return result;
  }

  async #enrol(
    bytes: Uint8Array,
  ): Promise<{ readonly enrolled: Enrolled; readonly request: string }> {
    const { request, token } = this.#redeemable(bytes);
    const { payload } = request;
    const spki = proveCsr(payload.csr);
    const keyId = keyIdOf(spki);
    if (token.usedBy !== null && token.usedBy !== keyId) {
      this.#options.log.error(
        { alarm: "token-reuse", token: token.token, node: payload.nodeName },
        "a join token was tried again with another key",
      );
      throw new Refusal(
        "TOKEN_USED",
        "the token was redeemed by another key; if that was not you, ban that node. Make a new token with `herald node token`",
      );
    }
    const node = this.#idOf(payload.nodeName);
    const known = this.#knownBy(node, keyId, token);
    const sealTo = sealingKeyOf(payload.sealingKey);
    const certificate = await this.#lintNode(node, spki);
    await this.#options.state.change(() => [
      ...this.#redemption(token, keyId),
      ...this.#newRecord({ node, known, token, spki, keyId, expiresAt: certificate.notAfter }),
    ]);
    const chain = await this.#signRecorded(certificate, {
      kind: "node-enrolled",
      by: `join_token ${token.token}`,
    });
    const sealedBusSeed = await sealSecret(this.#options.busSeed, sealTo, request.digest);
    return { enrolled: { node, chain, sealedBusSeed }, request: request.digest };
  }

  /** Certifies a new key for a node that asked with its recorded one. @throws Refusal */
  async renew(admitted: Admitted<"renew-request">): Promise<{ readonly chain: readonly string[] }> {
    const { record: known, request } = admitted;
    const now = this.#options.clock.now();
    if (now > known.expiresAt + lateRenewalMs) {
      throw new Refusal(
        "RENEWAL_TOO_LATE",
        "the node was away for more than 30 days after its SVID ended; enrol it again with a fresh join token",
      );
    }
    const spki = proveCsr(request.payload.csr);
    const keyId = keyIdOf(spki);
    if (known.retired.includes(keyId))
      throw new Refusal("KEY_RETIRED", "a renewal brings a new key, not one that was replaced");
    const certificate = await this.#lintNode(known.node, spki);
    const next =
      keyId === known.current.keyId ? null : { keyId, spki: Buffer.from(spki).toString("base64") };
    await this.#writeRecord(known, (current) => ({
      ...current,
      next,
      expiresAt: certificate.notAfter,
    }));
    return {
      chain: await this.#signRecorded(certificate, { kind: "node-renewed", by: "node key" }),
    };
  }

  /** The first use of the next key retires the current one. */
  async confirmNextKey(known: NodeRecordState): Promise<void> {
    await this.#writeRecord(known, (current) => {
      if (current.next === null) return current;
      const retired = [current.current.keyId, ...current.retired].slice(0, keptRetiredKeys);
      return { ...current, current: current.next, next: null, retired };
    });
  }

  #redeemable(bytes: Uint8Array): { request: Opened<"enrol-request">; token: TokenState } {
    let token: TokenState | undefined;
    const request = openEnrolment(bytes, (keyId) => {
      token = this.#options.state
        .list("token")
        .find((candidate) => keyIdOf(Buffer.from(candidate.publicKey, "base64")) === keyId);
      if (token === undefined)
        throw new Refusal("TOKEN_UNKNOWN", "no such join token; make one with `herald node token`");
      return token.publicKey;
    });
    const { payload } = request;
    if (token === undefined || payload.token !== token.token)
      throw new Refusal(
        "TOKEN_UNKNOWN",
        "the request names another token than it is signed with; make a new one with `herald node token`",
      );
    if (payload.td !== this.#options.trustDomain || payload.pin !== this.#options.pin) {
      throw new Refusal(
        "TOKEN_UNKNOWN",
        `the token is for another control root than ${this.#options.trustDomain}'s; check the issuer's URL`,
      );
    }
    if (payload.nodeName !== token.nodeName)
      throw new Refusal(
        "NODE_NAME",
        `the token is for node ${token.nodeName}, not ${payload.nodeName}; make one with \`herald node token --name ${payload.nodeName}\``,
      );
    if (this.#options.clock.now() > token.expires)
      throw new Refusal(
        "TOKEN_EXPIRED",
        "the token has expired; make a new one with `herald node token`",
      );
    refuseStale(payload.at, this.#options.clock.now());
    return { request, token };
  }

  /** The record of a node that asks again with the key it has. A second token for its name, or an old request of its own, sets nothing back. */
  #knownBy(node: SpiffeId, keyId: string, token: TokenState): NodeRecordState | undefined {
    const known = this.#options.state.get("node-record", recordKeyOf(node));
    if (known?.banned === true) throw new Refusal("NODE_BANNED", "the node is banned");
    const takesPlace = token.replaces && token.usedBy === null;
    if (known !== undefined && known.current.keyId !== keyId && !takesPlace) {
      throw new Refusal(
        "NODE_NAME",
        `${node} is enrolled with another key; a join token enrols a name once (ENR-05). Choose another name`,
      );
    }
    return known;
  }

  #redemption(token: TokenState, keyId: string): readonly Change[] {
    return [
      {
        kind: "token",
        key: tokenKey(token.token),
        content: (stamp) => ({ ...token, ...stamp, usedBy: keyId }),
      },
    ];
  }

  #newRecord(seen: {
    node: SpiffeId;
    known: NodeRecordState | undefined;
    token: TokenState;
    spki: Uint8Array;
    keyId: string;
    expiresAt: number;
  }): readonly Change[] {
    const { node, known, token, keyId, expiresAt } = seen;
    const key = { keyId, spki: Buffer.from(seen.spki).toString("base64") };
    const traits = { node, labels: token.labels, banned: false };
    return [
      {
        kind: "node-record",
        key: recordKeyOf(node),
        content: (stamp) => ({
          ...stamp,
          ...traits,
          current: key,
          next: known?.current.keyId === keyId ? known.next : null,
          retired: retiredBy(known, keyId),
          enrolledAt: known?.enrolledAt ?? stamp.at,
          expiresAt,
        }),
      },
      this.#options.entries.manifestChange(traits),
    ];
  }

  async #writeRecord(
    known: NodeRecordState,
    update: (current: NodeRecordState) => NodeRecordState,
  ): Promise<void> {
    const key = recordKeyOf(known.node);
    await this.#options.state.change(() => {
      const updated = update(this.#options.state.get("node-record", key) ?? known);
      return [{ kind: "node-record", key, content: (stamp) => ({ ...updated, ...stamp }) }];
    });
  }

  async #lintNode(node: SpiffeId, spki: Uint8Array): Promise<Linted> {
    const { authorities, clock, random, ttlSeconds } = this.#options;
    return lint(
      { id: node, spki, dnsNames: [], ttlSeconds, isForEntry: false },
      await authorities.signing(),
      { clock, random },
    );
  }

  async #signRecorded(
    certificate: Linted,
    about: { readonly kind: "node-enrolled" | "node-renewed"; readonly by: string },
  ): Promise<readonly string[]> {
    const { id: node, serial, tbsSha256, notAfter } = certificate;
    const named = { node, serial, tbsSha256, notAfter, authority: certificate.authority.id };
    const recorded = await record(this.#options.audit, [certificate], () => ({
      ...about,
      ...named,
    }));
    const chains = await Promise.all(recorded.map(sign));
    return chains.flat().map((der) => Buffer.from(der).toString("base64"));
  }

  #idOf(nodeName: string): SpiffeId {
    return parseSpiffeId(
      `${trustDomainId(this.#options.trustDomain)}/herald/node/join_token/${nodeName}`,
    );
  }
}

/** What a new key of the node leaves behind: every other key that it was known by. */
function retiredBy(known: NodeRecordState | undefined, keyId: string): readonly string[] {
  if (known === undefined || known.current.keyId === keyId) return known?.retired ?? [];
  const left = [known.current.keyId, ...(known.next === null ? [] : [known.next.keyId])];
  return [...left, ...known.retired].slice(0, keptRetiredKeys);
}

function tokenKey(id: string): string {
  return `token.${id}`;
}
