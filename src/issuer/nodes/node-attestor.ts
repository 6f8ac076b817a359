import type { SpiffeId } from "../../core/spiffe/spiffe-id.ts";
import type { Change } from "../state/change.ts";

/** A stranger whose proof held: which node it is, and what it asks for. */
export interface Attested {
  /** Digest of the request. */
  readonly request: string;
  readonly node: SpiffeId;
  /** Name of the attestor: the segment of the SPIFFE ID behind `/herald/node/`. */
  readonly attestor: string;
  /** What the attestor knows of the node; an operator's own labels stay beside them. */
  readonly labels: Readonly<Record<string, string>>;
  /** Names of the labels that are the attestor's to say: one that its proof does not say any more goes. */
  readonly governs: readonly string[];
  /** Base64. */
  readonly csr: string;
  /** X25519, SubjectPublicKeyInfo, base64. */
  readonly sealingKey: string;
  /** Does the proof let a new key take the place of the one that the node is known by? */
  readonly takesPlace: boolean;
  /** The proof, as the audit chain names it. */
  readonly by: string;
  /**
   * What is written together with the node's record, such as that a token is used. Called with no other write under way.
   *
   * @throws Refusal when another key than `keyId` was let in by the same proof
   */
  claim(keyId: string): readonly Change[];
}

/** One way for a machine to prove which node it is. Each has enrol-requests of a kind of its own, so no proof passes for another. */
export interface NodeAttestor {
  /**
   * Proves an enrol-request; nothing of it is read before its signature holds.
   *
   * @throws Refusal; EnvelopeError for bytes that nobody proved
   */
  attest(bytes: Uint8Array): Attested;
}
