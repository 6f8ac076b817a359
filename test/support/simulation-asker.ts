import { generateKeyPairSync } from "node:crypto";
import { printCompactJson } from "../../src/core/envelope/compact-json.ts";
import {
  type EnvelopeSigner,
  type Opened,
  openEnvelope,
} from "../../src/core/envelope/envelope.ts";
import { keyOfSeed, parseJoinString } from "../../src/core/envelope/join-string.ts";
import { type Kind, type Payloads, payloadTypeOf } from "../../src/core/envelope/kinds.ts";
import { token26 } from "../../src/core/envelope/object-keys.ts";
import { preAuthEncoding } from "../../src/core/envelope/pae.ts";
import type { NodeRequest, SignItem } from "../../src/core/envelope/payloads.ts";
import { nodeSigner, tokenSigner } from "../../src/core/envelope/signers.ts";
import { parseSpiffeId, type SpiffeId } from "../../src/core/spiffe/spiffe-id.ts";
import { createCsr } from "../../src/core/x509/csr.ts";
import type { KeyPair } from "../../src/core/x509/key-pair.ts";
import type { Clock } from "../../src/kit/clock.ts";
import type { SimulationDomain } from "./simulation-domain.ts";
import type { SimulationIssuer } from "./simulation-issuer.ts";
import { keyPair } from "./simulation-keys.ts";

type NodeRequestKind = "sign-request" | "renew-request" | "state-request" | "ack";

const subjects: Readonly<Record<NodeRequestKind, string>> = {
  "sign-request": "sign",
  "renew-request": "renew",
  "state-request": "state",
  ack: "ack",
};

const answers = [
  "enrol-reply",
  "sign-reply",
  "renew-reply",
  "state-reply",
  "ack-reply",
  "refused",
  "busy",
] as const;

/** What an issuer answered: proven, and not yet looked at. */
export type Answer = { [K in (typeof answers)[number]]: Opened<K> }[(typeof answers)[number]];

/** What of a request is bent; the rest is as an honest node has it. */
export interface Bend {
  readonly signer?: EnvelopeSigner;
  readonly payload?: Readonly<Record<string, unknown>>;
}

/** A node that writes its requests by hand, honest or not. */
export class Asker {
  readonly id: SpiffeId;
  readonly name: string;
  /** The key that it signs with. */
  key: KeyPair = keyPair();
  readonly #domain: SimulationDomain;
  readonly #host: SimulationIssuer;
  readonly #clock: Clock;
  #requests = 0;

  constructor(options: {
    readonly domain: SimulationDomain;
    readonly host: SimulationIssuer;
    readonly clock: Clock;
    readonly name: string;
  }) {
    this.#domain = options.domain;
    this.#host = options.host;
    this.#clock = options.clock;
    this.name = options.name;
    this.id = parseSpiffeId(
      `spiffe://${options.domain.trustDomain}/herald/node/join_token/${options.name}`,
    );
  }

  /** Its name in subjects. */
  get token(): string {
    return token26(this.id);
  }

  get signer(): EnvelopeSigner {
    return nodeSigner(this.key.privateKey);
  }

  /** An enrol-request by this node's key. */
  async enrolRequest(joinString: string, bend: Bend = {}): Promise<Uint8Array> {
    const join = parseJoinString(joinString);
    const sealing = generateKeyPairSync("x25519").publicKey;
    const payload: Payloads["enrol-request"] = {
      td: this.#domain.trustDomain,
      at: this.#clock.now(),
      token: join.token,
      nodeName: this.name,
      pin: this.#domain.pin,
      nonce: this.#name("nonce"),
      csr: await csrOf(this.key),
      sealingKey: sealing.export({ format: "der", type: "spki" }).toString("base64"),
      ...bend.payload,
    };
    const signer = bend.signer ?? tokenSigner(keyOfSeed(join.seed));
    return await sealed("enrol-request", payload, signer);
  }

  async enrol(joinString: string, bend: Bend = {}): Promise<Answer> {
    const { reception } = this.#host.issuer;
    return this.open(await reception.enrol(await this.enrolRequest(joinString, bend)));
  }

  /** A request by this node's key, at this moment. */
  async request<K extends NodeRequestKind>(
    kind: K,
    body: Omit<Payloads[K], keyof NodeRequest>,
    bend: Bend = {},
  ): Promise<Uint8Array> {
    const stamp: NodeRequest = {
      td: this.#domain.trustDomain,
      at: this.#clock.now(),
      id: this.#name("request"),
      node: this.id,
    };
    return await sealed(kind, { ...stamp, ...body, ...bend.payload }, bend.signer ?? this.signer);
  }

  async signRequest(items: readonly SignItem[], bend: Bend = {}): Promise<Uint8Array> {
    return await this.request("sign-request", { highest: null, items }, bend);
  }

  /** An acknowledgement that says nothing but what `body` says. */
  async ackRequest(
    body: Partial<Omit<Payloads["ack"], keyof NodeRequest>>,
    bend: Bend = {},
  ): Promise<Uint8Array> {
    this.#requests += 1;
    const nothing = { applied: {}, consumers: [], authorities: [], highest: null };
    return await this.request(
      "ack",
      { ...nothing, boot: "boot", counter: this.#requests, ...body },
      bend,
    );
  }

  /** Sends it on the subject of this node, or of another one. Rejects where the issuer is silent. */
  async send(kind: NodeRequestKind, bytes: Uint8Array, node: SpiffeId = this.id): Promise<Answer> {
    const request = { kind: subjects[kind], node: token26(node), bytes };
    return this.open(await this.#host.issuer.reception.handle(request));
  }

  open(bytes: Uint8Array): Answer {
    return openEnvelope<Answer["kind"]>(
      bytes,
      answers,
      this.#domain.trust().at(this.#clock.now()),
    ) as unknown as Answer;
  }

  #name(what: string): string {
    this.#requests += 1;
    return `${what}-${this.name}-${this.#requests}`;
  }
}

/** As `sealEnvelope` does it, but whatever the payload says: an attacker keeps to no shape. */
async function sealed(kind: Kind, payload: unknown, signer: EnvelopeSigner): Promise<Uint8Array> {
  const payloadType = payloadTypeOf(kind);
  const body = printCompactJson(payload);
  const sig = Buffer.from(await signer.sign(preAuthEncoding(payloadType, body))).toString("base64");
  const { keyId: keyid, alg, accompanied } = signer;
  const signatures = [{ keyid, alg, sig, ...accompanied }];
  return printCompactJson({ payloadType, payload: body.toString("base64"), signatures });
}

/** A CSR by this pair, base64. */
export async function csrOf(pair: KeyPair): Promise<string> {
  return Buffer.from(await createCsr(pair)).toString("base64");
}

/** One CSR for an entry, kept warm. */
export async function signItem(
  entry: { readonly id: string; readonly revision: bigint },
  pair: KeyPair = keyPair(),
): Promise<SignItem> {
  const { id, revision } = entry;
  return { entry: id, revision, purpose: { kind: "kept-warm" }, csr: await csrOf(pair) };
}

/** The code of a refusal; otherwise what kind of answer it was. */
export function verdictOf(answer: Answer): string {
  return answer.kind === "refused" ? answer.payload.code : answer.kind;
}
