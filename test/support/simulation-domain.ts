import { generateKeyPairSync } from "node:crypto";
import { type EnvelopeSigner, sealEnvelope } from "../../src/core/envelope/envelope.ts";
import { controlKey } from "../../src/core/envelope/object-keys.ts";
import { keyIdOf, sha256Hex } from "../../src/core/envelope/pae.ts";
import { controlSigner, rootSigner, spkiOf } from "../../src/core/envelope/signers.ts";
import { ControlTrust } from "../../src/core/envelope/trust.ts";
import {
  parseSpiffeId,
  parseTrustDomain,
  type SpiffeId,
  type TrustDomain,
} from "../../src/core/spiffe/spiffe-id.ts";

/** A trust domain as `herald init` leaves it. */
export interface SimulationDomain {
  readonly trustDomain: TrustDomain;
  readonly issuer: SpiffeId;
  readonly pin: string;
  /** The control key's; remembers what it signed. */
  readonly signer: EnvelopeSigner;
  readonly epoch: { readonly bytes: Uint8Array; readonly number: bigint };
  /** Did the issuer, or its root, ever sign contents with this digest? */
  signed(digest: string): boolean;
  /** A reader of its own: each process has one. */
  trust(): ControlTrust;
}

const dayMs = 24 * 3_600_000;

/** Makes a control root, an issuer's control key with its certificate, and the first epoch. */
export async function simulationDomain(now: number): Promise<SimulationDomain> {
  const trustDomain = parseTrustDomain("example.org");
  const issuer = parseSpiffeId("spiffe://example.org/herald/issuer/one");
  const root = rootSigner(generateKeyPairSync("ed25519").privateKey);
  const control = generateKeyPairSync("ed25519").privateKey;
  const stamp = { td: trustDomain, at: now };
  const certificate = await sealEnvelope(
    "control",
    {
      ...stamp,
      issuer,
      publicKey: spkiOf(control).toString("base64"),
      notBefore: now - dayMs,
      notAfter: now + 365 * dayMs,
    },
    root,
  );
  const epoch = await sealEnvelope(
    "epoch",
    {
      ...stamp,
      key: controlKey,
      version: { epoch: 1n, term: 0n, seq: 1n },
      revokedKeys: [],
    },
    root,
  );
  const digests = new Set([epoch.digest]);
  const pin = keyIdOf(Buffer.from(root.accompanied.publicKey ?? "", "base64"));
  return {
    trustDomain,
    issuer,
    pin,
    signer: remembering(controlSigner(control, certificate.bytes), digests),
    epoch: { bytes: epoch.bytes, number: 1n },
    signed: (digest) => digests.has(digest),
    trust: () => new ControlTrust({ trustDomain, pin }),
  };
}

function remembering(signer: EnvelopeSigner, digests: Set<string>): EnvelopeSigner {
  return {
    ...signer,
    async sign(bytes) {
      digests.add(sha256Hex(bytes));
      return await signer.sign(bytes);
    },
  };
}
