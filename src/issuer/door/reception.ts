import {
  type Claim,
  claimOf,
  type EnvelopeSigner,
  type Opened,
} from "../../core/envelope/envelope.ts";
import { EnvelopeError } from "../../core/envelope/error.ts";
import {
  bundleKey,
  controlKey,
  groupIndexKey,
  manifestKey,
  revocationsKey,
  token26,
} from "../../core/envelope/object-keys.ts";
import type { BusAccess } from "../../core/envelope/payloads.ts";
import type { SpiffeId, TrustDomain } from "../../core/spiffe/spiffe-id.ts";
import type { Clock } from "../../kit/clock.ts";
import { HeraldError, reasonOf } from "../../kit/errors.ts";
import type { Log } from "../../kit/log.ts";
import type { Metrics } from "../../kit/metrics.ts";
import type { Announcer } from "../announcer.ts";
import type { AuditChain } from "../audit/audit-chain.ts";
import type { Acknowledgements } from "../authorities/acknowledgements.ts";
import { type EnrolmentKind, enrolmentKindOf, type Nodes } from "../nodes/nodes.ts";
import {
  type Admitted,
  admit,
  type NodeRequestKind,
  Refusal,
  recordKey,
  refuseOversized,
  reply,
} from "../requests.ts";
import { isAhead, type Signing } from "../signing/signing.ts";
import type { Heads } from "../state/heads.ts";
import { fencedError, type SignedState } from "../state/signed-state.ts";
import { Answers } from "./answers.ts";
import { Refusals } from "./refusals.ts";

/** What each kind of subject carries. */
export const requestKinds: Readonly<Record<string, NodeRequestKind>> = {
  sign: "sign-request",
  renew: "renew-request",
  state: "state-request",
  ack: "ack",
};

export interface ReceptionOptions {
  readonly trustDomain: TrustDomain;
  readonly signer: EnvelopeSigner;
  readonly bus: BusAccess;
  readonly state: SignedState;
  readonly heads: Heads;
  readonly nodes: Nodes;
  readonly signing: Signing;
  readonly acknowledgements: Acknowledgements;
  readonly announcer: Announcer;
  readonly audit: AuditChain;
  readonly onAcknowledged: () => void;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** Where nodes' requests come in, off the bus and by HTTPS: admits them, hands them on, signs the answer. */
export class Reception {
  readonly #options: ReceptionOptions;
  readonly #answers: Answers;
  readonly #refusals: Refusals;

  constructor(options: ReceptionOptions) {
    this.#options = options;
    this.#answers = new Answers(options.clock);
    this.#refusals = new Refusals(options);
  }

  /** Answers a request off the bus; `node` is the token in its subject. Rejects where silence is the right answer: to bytes nobody proved. */
  async handle(request: {
    readonly kind: string;
    readonly node: string;
    readonly bytes: Uint8Array;
  }): Promise<Uint8Array> {
    const kind = requestKinds[request.kind];
    if (kind === undefined) throw new Refusal("NODE_UNKNOWN", `unknown request ${request.kind}`);
    const kindOf = (claim: Claim) => (claim.kind === kind ? kind : undefined);
    return await this.#answer(kindOf, request, async () => {
      switch (kind) {
        case "sign-request": {
          const admitted = await this.#admit(kind, request);
          return await this.#answers.of(admitted.request.digest, () => this.#sign(admitted));
        }
        case "renew-request": {
          const admitted = await this.#admit(kind, request);
          return await this.#answers.of(admitted.request.digest, () => this.#renew(admitted));
        }
        case "state-request":
          return await this.#tellState(await this.#admit(kind, request));
        case "ack":
          return await this.#keepAck(await this.#admit(kind, request));
      }
    });
  }

  /** Answers `POST /v1/enrol`. */
  async enrol(bytes: Uint8Array): Promise<Uint8Array> {
    const { nodes, announcer, bus, signer } = this.#options;
    const enrol = async (kind: EnrolmentKind): Promise<Uint8Array> => {
      const { enrolled, request } = await nodes.enrol(kind, bytes);
      const { node, attestor, chain, sealedBusSeed } = enrolled;
      announcer.announce("node.joined", node, { attestor });
      const state = this.#stateOf(node);
      return await reply(
        "enrol-reply",
        { ...this.#stamp(request), node, chain, bus, sealedBusSeed, state },
        signer,
      );
    };
    return await this.#answer(enrolmentKindOf, { node: "", bytes }, () => {
      const claim = claimOf(bytes);
      const kind = enrolmentKindOf(claim) ?? "enrol-request";
      return this.#answers.of(claim.digest, () => enrol(kind));
    });
  }

  /** A node was cut off: no answer from before is given again. */
  forgetAnswers(): void {
    this.#answers.clear();
  }

  /** Answers `POST /v1/renew`: for nodes that the bus does not let in any more. The signature says which node it is. */
  async renewByHttps(bytes: Uint8Array): Promise<Uint8Array> {
    refuseOversized(bytes);
    const record = this.#options.nodes.records.ofKeys(new Set(claimOf(bytes).keyIds));
    return await this.handle({
      kind: "renew",
      node: record === undefined ? "" : token26(record.node),
      bytes,
    });
  }

  /** Nothing more is recorded. */
  stop(): void {
    this.#refusals.stop();
  }

  async #answer(
    kindOf: (claim: Claim) => NodeRequestKind | EnrolmentKind | undefined,
    { node, bytes }: { readonly node: string; readonly bytes: Uint8Array },
    make: () => Promise<Uint8Array>,
  ): Promise<Uint8Array> {
    const { metrics, log, signer } = this.#options;
    try {
      refuseOversized(bytes);
      return await make();
    } catch (thrown) {
      const code = thrown instanceof HeraldError ? String(thrown.code) : "INTERNAL";
      metrics.increment("herald_issuer_requests_refused_total", { code });
      const alarm = code === "KEY_RETIRED" ? { alarm: "retired-key" } : {};
      log.warn({ node, reason: reasonOf(thrown), ...alarm }, "request refused");
      this.#noteRefusal(node, thrown);
      if (!(thrown instanceof Refusal)) throw thrown;
      const claim = claimOf(bytes);
      // A request that somebody carried to the wrong door is not refused: the one who made it would believe the answer.
      if (kindOf(claim) === undefined) throw thrown;
      // Bound to the request by the digest of what it claims to be, since nothing of it may be proven.
      return await reply(
        "refused",
        { ...this.#stamp(claim.digest), code: thrown.code, reason: thrown.message },
        signer,
      );
    }
  }

  /** What the issuer itself could not do is no refusal. */
  #noteRefusal(nodeToken: string, thrown: unknown): void {
    if (!(thrown instanceof Refusal || thrown instanceof EnvelopeError)) return;
    const node = this.#options.state.get("node-record", recordKey(nodeToken))?.node ?? "";
    this.#refusals.note({ node, code: thrown.code, reason: thrown.message });
  }

  async #admit<K extends NodeRequestKind>(
    kind: K,
    request: { readonly node: string; readonly bytes: Uint8Array },
  ): Promise<Admitted<K>> {
    const { trustDomain, clock, state, nodes } = this.#options;
    const record = state.get("node-record", recordKey(request.node));
    const admitted = admit(kind, request.bytes, { record, trustDomain, clock });
    if (!admitted.byNextKey) return admitted;
    await nodes.confirmNextKey(admitted.record);
    return {
      ...admitted,
      record: state.get("node-record", admitted.record.key) ?? admitted.record,
    };
  }

  async #sign(admitted: Admitted<"sign-request">): Promise<Uint8Array> {
    this.#refuseWhenBehind(admitted.request);
    return await this.#options.signing.answer(admitted);
  }

  async #renew(admitted: Admitted<"renew-request">): Promise<Uint8Array> {
    const { nodes, announcer, bus, signer } = this.#options;
    const { chain } = await nodes.renew(admitted);
    announcer.announce("node.renewed", admitted.record.node, {});
    return await reply(
      "renew-reply",
      { ...this.#stamp(admitted.request.digest), chain, bus },
      signer,
    );
  }

  async #tellState(admitted: Admitted<"state-request">): Promise<Uint8Array> {
    const { request, record } = admitted;
    const { heads, signer } = this.#options;
    const head = Buffer.from(heads.newest ?? new Uint8Array()).toString("base64");
    const told = {
      ...this.#stamp(request.digest),
      nonce: request.payload.nonce,
      head,
      state: this.#stateOf(record.node),
    };
    return await reply("state-reply", told, signer);
  }

  async #keepAck(admitted: Admitted<"ack">): Promise<Uint8Array> {
    const { acknowledgements, onAcknowledged, signer } = this.#options;
    const { request } = admitted;
    if (await acknowledgements.keep(request)) onAcknowledged();
    return await reply(
      "ack-reply",
      { ...this.#stamp(request.digest), counter: request.payload.counter },
      signer,
    );
  }

  #refuseWhenBehind(request: Opened<"sign-request">): void {
    const { state, heads, metrics } = this.#options;
    if (state.fenced) throw fencedError();
    if (!isAhead(request.payload.highest, heads.ref())) return;
    metrics.increment("herald_issuer_behind_total");
    throw new Refusal(
      "ISSUER_BEHIND",
      "a node has seen a newer head than this issuer's: was its disk restored from a copy? It does not sign until that is settled",
    );
  }

  #stateOf(node: SpiffeId): readonly string[] {
    const { trustDomain, state } = this.#options;
    return [
      controlKey,
      revocationsKey(trustDomain),
      bundleKey(trustDomain),
      groupIndexKey,
      manifestKey(node),
    ].flatMap((key) => {
      const bytes = state.envelope(key);
      return bytes === undefined ? [] : [Buffer.from(bytes).toString("base64")];
    });
  }

  #stamp(request: string): {
    readonly td: TrustDomain;
    readonly at: number;
    readonly request: string;
  } {
    return { td: this.#options.trustDomain, at: this.#options.clock.now(), request };
  }
}
