import type { KeyObject } from "node:crypto";
import { type JoinString, keyOfSeed } from "../core/envelope/join-string.ts";
import type { Payloads } from "../core/envelope/kinds.ts";
import { sha256Hex } from "../core/envelope/pae.ts";
import { certificateSigner, tokenSigner } from "../core/envelope/signers.ts";
import type { Question } from "./issuer-client.ts";

/** What every enrol-request asks for, whatever proves it. */
export type AskedIdentity = Omit<Payloads["x509pop-enrol-request"], "at" | "certificate">;

type EnrolmentQuestion<K extends "enrol-request" | "x509pop-enrol-request"> = Pick<
  Question<K, "enrol-reply">,
  "kind" | "payload" | "signer"
>;

/** What this machine proves to an issuer which node it is with. */
export interface EnrolmentProof {
  /** Key id of the control root that the reply must chain to. */
  readonly pin: string;
  question(
    asked: AskedIdentity,
  ): EnrolmentQuestion<"enrol-request"> | EnrolmentQuestion<"x509pop-enrol-request">;
}

/** By a join string: once, for the node that it was made for. */
export function joinTokenProof(join: JoinString, nodeName: string): EnrolmentProof {
  return {
    pin: join.pin,
    question: (asked) => ({
      kind: "enrol-request",
      payload: (at) => ({ ...asked, at, token: join.token, nodeName }),
      signer: tokenSigner(keyOfSeed(join.seed)),
    }),
  };
}

/** By a certificate of the operator's CA, which names the node; `chain` is DER, leaf first. @throws EnvelopeError for a key that signs no requests */
export function certificateProof(options: {
  readonly pin: string;
  readonly privateKey: KeyObject;
  readonly leaf: Uint8Array;
  readonly intermediates: readonly Uint8Array[];
}): EnrolmentProof {
  const { pin, privateKey, leaf, intermediates } = options;
  const signer = certificateSigner(privateKey, [leaf, ...intermediates]);
  const certificate = sha256Hex(leaf);
  return {
    pin,
    question: (asked) => ({
      kind: "x509pop-enrol-request",
      payload: (at) => ({ ...asked, at, certificate }),
      signer,
    }),
  };
}
