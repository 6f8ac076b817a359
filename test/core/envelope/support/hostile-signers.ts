import { type EnvelopeSigner, sealEnvelope } from "../../../../src/core/envelope/envelope.ts";
import type { Kind } from "../../../../src/core/envelope/kinds.ts";
import { keyIdOf } from "../../../../src/core/envelope/pae.ts";
import type { ControlCertificate } from "../../../../src/core/envelope/payloads.ts";
import { controlSigner, rootSigner, spkiOf } from "../../../../src/core/envelope/signers.ts";
import { parseTrustDomain } from "../../../../src/core/spiffe/spiffe-id.ts";
import {
  certificate,
  controlKeyPair,
  now,
  otherControlKey,
  otherRootKey,
  signers,
} from "./keys.ts";
import { samples } from "./samples.ts";
import { type Vector, vectorOf } from "./vector.ts";

/** Envelopes whose signer, or signer's certificate, is wrong. */
export async function hostileSigners(): Promise<readonly Vector[]> {
  return [...(await signerCases()), ...(await certificateCases())];
}

async function signerCases(): Promise<readonly Vector[]> {
  const seal = async <K extends Kind>(kind: K, signer: EnvelopeSigner): Promise<Buffer> =>
    (await sealEnvelope(kind, samples[kind], signer)).bytes;
  const bare = { ...signers.control, accompanied: {} };
  const impostor = { ...rootSigner(otherRootKey), keyId: signers.root.keyId };
  return [
    vectorOf("epoch", [
      "an epoch by a root that is not the pin",
      await seal("epoch", rootSigner(otherRootKey)),
      "ENVELOPE_SIGNER",
    ]),
    vectorOf("epoch", [
      "an epoch by another root that claims the pin as its keyid",
      await seal("epoch", impostor),
      "ENVELOPE_SIGNER",
    ]),
    vectorOf("epoch", [
      "an epoch by another root that shows the pinned public key",
      await seal("epoch", { ...impostor, accompanied: signers.root.accompanied }),
      "ENVELOPE_SIGNATURE",
    ]),
    vectorOf("epoch", [
      "an epoch without the root's public key",
      await seal("epoch", { ...signers.root, accompanied: {} }),
      "ENVELOPE_SIGNER",
    ]),
    vectorOf("epoch", [
      "an epoch by a control key",
      await seal("epoch", signers.control),
      "ENVELOPE_SIGNER",
    ]),
    vectorOf("bundle", [
      "a bundle by the root",
      await seal("bundle", signers.root),
      "ENVELOPE_SIGNER",
    ]),
    vectorOf("bundle", [
      "a bundle by a control key without its certificate",
      await seal("bundle", bare),
      "ENVELOPE_SIGNER",
    ]),
    vectorOf("bundle", [
      "a bundle by a node's key",
      await seal("bundle", signers.node),
      "ENVELOPE_SIGNER",
    ]),
    vectorOf("sign-reply", [
      "a sign-reply by a node's key that claims EdDSA",
      await seal("sign-reply", {
        ...signers.node,
        alg: "EdDSA",
        accompanied: signers.control.accompanied,
      }),
      "ENVELOPE_SIGNATURE",
    ]),
    vectorOf("ack", [
      "an ack by a control key",
      await seal("ack", signers.control),
      "ENVELOPE_SIGNER",
    ]),
    vectorOf("ack", [
      "an ack by the node's key that claims EdDSA",
      await seal("ack", { ...signers.node, alg: "EdDSA" }),
      "ENVELOPE_SIGNER",
    ]),
    vectorOf("enrol-request", [
      "an enrol-request by a node's key",
      await seal("enrol-request", signers.node),
      "ENVELOPE_SIGNER",
    ]),
    vectorOf("enrol-request", [
      "an enrol-request by another token's key",
      await seal("enrol-request", { ...rootSigner(otherControlKey), accompanied: {} }),
      "ENVELOPE_SIGNATURE",
    ]),
  ];
}

async function certificateCases(): Promise<readonly Vector[]> {
  const withCertificate = async (
    bend: Partial<ControlCertificate>,
    options: Parameters<typeof certificate>[1] = {},
  ): Promise<Buffer> => {
    const signer = controlSigner(controlKeyPair, await certificate(bend, options));
    return (await sealEnvelope("bundle", samples.bundle, signer)).bytes;
  };
  const good = await withCertificate({});
  const foreign = { td: parseTrustDomain("other.example") };
  const epochAsCertificate = await sealEnvelope("epoch", samples.epoch, signers.root);
  const wrongKind = controlSigner(controlKeyPair, epochAsCertificate.bytes);
  const noKey = { publicKey: Buffer.from("no key").toString("base64") };
  return [
    vectorOf("bundle", [
      "a certificate on its last millisecond",
      await withCertificate({ notAfter: now }),
      "ok",
    ]),
    vectorOf("bundle", [
      "a certificate on its first millisecond",
      await withCertificate({ notBefore: now }),
      "ok",
    ]),
    vectorOf("bundle", [
      "an expired certificate",
      await withCertificate({ notAfter: now - 1 }),
      "ENVELOPE_CERTIFICATE",
    ]),
    vectorOf("bundle", [
      "a certificate that is not valid yet",
      await withCertificate({ notBefore: now + 1 }),
      "ENVELOPE_CERTIFICATE",
    ]),
    vectorOf("bundle", [
      "a certificate of another trust domain",
      await withCertificate(foreign),
      "ENVELOPE_TRUST_DOMAIN",
    ]),
    vectorOf("bundle", [
      "a certificate by another root",
      await withCertificate({}, { root: otherRootKey }),
      "ENVELOPE_SIGNER",
    ]),
    vectorOf("bundle", [
      "a certificate that a control key signed for itself",
      await withCertificate({}, { root: controlKeyPair }),
      "ENVELOPE_SIGNER",
    ]),
    vectorOf("bundle", [
      "a certificate for another control key",
      await withCertificate({}, { key: otherControlKey }),
      "ENVELOPE_SIGNATURE",
    ]),
    vectorOf("bundle", [
      "a certificate whose public key is none",
      await withCertificate(noKey),
      "ENVELOPE_SIGNER",
    ]),
    vectorOf("bundle", [
      "an epoch statement in a certificate's place",
      (await sealEnvelope("bundle", samples.bundle, wrongKind)).bytes,
      "ENVELOPE_KIND",
    ]),
    {
      ...vectorOf("bundle", [
        "a control key that the epoch statement revokes",
        good,
        "ENVELOPE_CERTIFICATE",
      ]),
      revoked: [signers.control.keyId],
    },
    {
      ...vectorOf("bundle", ["a control key beside one that is revoked", good, "ok"]),
      revoked: [keyIdOf(spkiOf(otherControlKey))],
    },
  ];
}
