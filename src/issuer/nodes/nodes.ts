import type { Claim } from "../../core/envelope/envelope.ts";
import { keyIdOf } from "../../core/envelope/pae.ts";
import type { NodeRecordState } from "../../core/envelope/payloads.ts";
import { sealSecret } from "../../core/envelope/sealed-secret.ts";
import type { SpiffeId } from "../../core/spiffe/spiffe-id.ts";
import type { Clock } from "../../kit/clock.ts";
import type { Random } from "../../kit/random.ts";
import type { AuditChain } from "../audit/audit-chain.ts";
import type { Authorities } from "../authorities/authorities.ts";
import { type Entries, refuseLabels } from "../entries/entries.ts";
import { IssuerError } from "../error.ts";
import { type Admitted, Refusal, recordKeyOf } from "../requests.ts";
import { type Linted, lint, record, sign } from "../signing/issuance.ts";
import type { Change } from "../state/change.ts";
import type { SignedState } from "../state/signed-state.ts";
import { proveCsr, sealingKeyOf } from "./enrolment-proof.ts";
import type { JoinTokens, NewToken } from "./join-tokens.ts";
import type { Attested, NodeAttestor } from "./node-attestor.ts";
import { type NodeRecords, retiredBy } from "./node-records.ts";

/** For how long after its SVID's end a node may renew with its recorded key: a weekend without power re-enrols nothing by hand. */
const lateRenewalMs = 30 * 24 * 3_600_000;

export interface NodesOptions {
  readonly records: NodeRecords;
  /** Undefined: nobody joins by token. */
  readonly tokens: JoinTokens | undefined;
  /** By the kind of request that each proves; one that is not here is refused. */
  readonly attestors: Readonly<Partial<Record<EnrolmentKind, NodeAttestor>>>;
  readonly state: SignedState;
  readonly entries: Entries;
  readonly authorities: Authorities;
  readonly audit: AuditChain;
  readonly clock: Clock;
  readonly random: Random;
  readonly ttlSeconds: number;
  /** Called before the name of a node that was taken out is given again: resolves when nothing that it held counts any more. */
  readonly clear: (node: SpiffeId) => Promise<void>;
  /** The NATS nkey seed that nodes share in this release. */
  readonly busSeed: Uint8Array;
}

/** The kinds of request that a stranger may send. */
export type EnrolmentKind = "enrol-request" | "x509pop-enrol-request";

const enrolmentKinds: readonly EnrolmentKind[] = ["enrol-request", "x509pop-enrol-request"];

/** Which of them an envelope claims to be; undefined for none. */
export function enrolmentKindOf(claim: Claim): EnrolmentKind | undefined {
  return enrolmentKinds.find((kind) => kind === claim.kind);
}

/** An enrolment that went through. */
export interface Enrolled {
  readonly node: SpiffeId;
  readonly attestor: string;
  readonly chain: readonly string[];
  readonly sealedBusSeed: string;
}

/** The nodes: enrolment by what an attestor proves, renewal, and the record of each one's key. */
export class Nodes {
  readonly records: NodeRecords;
  readonly #options: NodesOptions;
  #enrolling: Promise<unknown> = Promise.resolve();

  constructor(options: NodesOptions) {
    this.#options = options;
    this.records = options.records;
  }

  list(): readonly NodeRecordState[] {
    return this.records.list();
  }

  /** @throws IssuerError ATTESTOR_OFF, NODE_NAME_INVALID, NODE_NAME_TAKEN, LABEL_INVALID */
  async createToken(
    wanted: NewToken,
  ): Promise<{ readonly joinString: string; readonly expires: number }> {
    const { tokens } = this.#options;
    const { nodeName, labels, replaces } = wanted;
    if (tokens === undefined) {
      throw new IssuerError(
        "ATTESTOR_OFF",
        "this issuer takes no join tokens (attestors.join_token is off); enrol the node as its other attestors ask, or switch it on",
      );
    }
    refuseLabels(labels);
    if (!/^[a-z0-9-]{1,64}$/.test(nodeName)) {
      throw new IssuerError(
        "NODE_NAME_INVALID",
        `node name ${JSON.stringify(nodeName)}: use 1 to 64 of a-z, 0-9 and -`,
      );
    }
    const node = tokens.nodeOf(nodeName);
    if (!replaces && this.records.list().some((known) => known.node === node)) {
      throw new IssuerError(
        "NODE_NAME_TAKEN",
        `${node} is enrolled; a join token enrols a name once (ENR-05). Choose another name, or take the place of a lost node with --replace`,
      );
    }
    return await tokens.create(wanted);
  }

  /**
   * Lets a stranger in whom an attestor vouches for. The proof is journalled as used before anything is signed; the same node key may ask again while
   * the proof lasts.
   *
   * @throws Refusal; EnvelopeError
   */
  enrol(
    kind: EnrolmentKind,
    bytes: Uint8Array,
  ): Promise<{ readonly enrolled: Enrolled; readonly request: string }> {
    const result = this.#enrolling.then(() => this.#enrol(kind, bytes));
    this.#enrolling = result.catch(() => undefined);
    return result;
  }

  async #enrol(
    kind: EnrolmentKind,
    bytes: Uint8Array,
  ): Promise<{ readonly enrolled: Enrolled; readonly request: string }> {
    const attestor = this.#options.attestors[kind];
    if (attestor === undefined)
      throw new Refusal(
        "ATTESTOR_OFF",
        `this issuer takes no ${kind}; switch the attestor on in its configuration`,
      );
    const attested = attestor.attest(bytes);
    const { node, request, by } = attested;
    const spki = proveCsr(attested.csr);
    const sealTo = sealingKeyOf(attested.sealingKey);
    if (this.records.isTakenOut(node)) await this.#options.clear(node);
    const certificate = await this.#lintNode(node, spki);
    await this.#options.state.change(() => this.#letIn(attested, spki, certificate.notAfter));
    const chain = await this.#signRecorded(certificate, { kind: "node-enrolled", by });
    const sealedBusSeed = await sealSecret(this.#options.busSeed, sealTo, request);
    return {
      enrolled: { node, attestor: attested.attestor, chain, sealedBusSeed },
      request,
    };
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
    await this.records.update(known.node, (current) => ({
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
    await this.records.update(known.node, (current) => {
      if (current.next === null) return current;
      const retired = retiredBy({ ...current, next: null });
      return { ...current, current: current.next, next: null, retired };
    });
  }

  /** A second proof for a name, or an old request of the node's own, sets nothing back. Decided with no other write under way. */
  #letIn(attested: Attested, spki: Uint8Array, expiresAt: number): readonly Change[] {
    const { node, takesPlace } = attested;
    const keyId = keyIdOf(spki);
    const { record: known, retired } = this.records.known(node);
    const claimed = attested.claim(keyId);
    if (retired.includes(keyId))
      throw new Refusal(
        "KEY_RETIRED",
        "an enrolment brings a new key, not one that was replaced; start the node with an empty folder",
      );
    const isSame = known?.current.keyId === keyId;
    if (known !== undefined && !isSame && !takesPlace) {
      throw new Refusal(
        "NODE_NAME",
        `${node} is enrolled with another key; a join token enrols a name once (ENR-05). Choose another name`,
      );
    }
    const traits = { node, labels: labelsOf(attested, known), banned: false };
    return [
      ...claimed,
      {
        kind: "node-record",
        key: recordKeyOf(node),
        content: (stamp) => ({
          ...stamp,
          ...traits,
          current: { keyId, spki: Buffer.from(spki).toString("base64") },
          next: isSame ? known.next : null,
          retired: known === undefined || isSame ? retired : retiredBy(known),
          enrolledAt: known?.enrolledAt ?? stamp.at,
          expiresAt,
        }),
      },
      this.#options.entries.manifestChange(traits),
    ];
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
    this.records.refuseUnwelcome(node);
    const chains = await Promise.all(recorded.map(sign));
    return chains.flat().map((der) => Buffer.from(der).toString("base64"));
  }
}

/** An operator's labels stay; what an earlier proof said counts no more. */
function labelsOf(
  { labels, governs }: Pick<Attested, "labels" | "governs">,
  known: Pick<NodeRecordState, "labels"> | undefined,
): Readonly<Record<string, string>> {
  const kept = Object.entries(known?.labels ?? {}).filter(([name]) => !governs.includes(name));
  return { ...Object.fromEntries(kept), ...labels };
}
