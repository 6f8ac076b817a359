import type { TrustDomain } from "../spiffe/spiffe-id.ts";
import {
  type ClaimedSignature,
  type KeyFinder,
  openEnvelope,
  type VerifyingKey,
  verifyingKey,
} from "./envelope.ts";
import { EnvelopeError } from "./error.ts";
import { type Kind, kinds } from "./kinds.ts";
import { sha256Hex } from "./pae.ts";

/** How many proven control certificates are remembered; more only cost a verification each. */
const rememberedCertificates = 64;

interface ProvenCertificate {
  readonly key: VerifyingKey;
  readonly notBefore: number;
  readonly notAfter: number;
}

/**
 * What one trust domain's control root vouches for: proves kinds of the roles `root` and `control`. Time is an argument of each
 * question, so one value serves for ever.
 */
export class ControlTrust {
  readonly trustDomain: TrustDomain;
  /** Key id of the control root. */
  readonly pin: string;
  readonly #proven = new Map<string, ProvenCertificate>();
  #revoked: ReadonlySet<string> = new Set();

  constructor(options: { readonly trustDomain: TrustDomain; readonly pin: string }) {
    this.trustDomain = options.trustDomain;
    this.pin = options.pin;
  }

  /** Takes over the revoked control keys of the newest epoch statement. */
  revoke(keyIds: readonly string[]): void {
    this.#revoked = new Set(keyIds);
  }

  /** Answers for envelopes that are looked at `now`. */
  at(now: number): KeyFinder {
    return { keyFor: (kind, signature) => this.#keyFor(kind, signature, now) };
  }

  /** Answers for envelopes out of an issuer's own journal, which may be older than the certificates of their day. */
  atAnyTime(): KeyFinder {
    return { keyFor: (kind, signature) => this.#keyFor(kind, signature, undefined) };
  }

  #keyFor(kind: Kind, signature: ClaimedSignature, now: number | undefined): VerifyingKey {
    const role = kinds[kind].role;
    switch (role) {
      case "root":
        return this.#rootKey(signature);
      case "control":
        return this.#controlKey(signature, now);
      case "token":
      case "node":
      case "operator-ca":
        throw new EnvelopeError(
          "ENVELOPE_SIGNER",
          `a ${kind} is signed by a ${role} key, which the control root does not vouch for`,
        );
    }
  }

  #rootKey(signature: ClaimedSignature): VerifyingKey {
    if (signature.publicKey === undefined)
      throw new EnvelopeError("ENVELOPE_SIGNER", "the root's signature lacks publicKey");
    const key = verifyingKey(Buffer.from(signature.publicKey, "base64"), "EdDSA");
    if (key.keyId !== this.pin) {
      throw new EnvelopeError(
        "ENVELOPE_SIGNER",
        `signed by root ${key.keyId.slice(0, 16)}…, pinned is ${this.pin.slice(0, 16)}…`,
      );
    }
    return key;
  }

  #controlKey(signature: ClaimedSignature, now: number | undefined): VerifyingKey {
    if (signature.certificate === undefined)
      throw new EnvelopeError("ENVELOPE_SIGNER", "a control signature lacks its certificate");
    const proven = this.#prove(signature.certificate);
    if (now !== undefined && (now < proven.notBefore || now > proven.notAfter)) {
      throw new EnvelopeError(
        "ENVELOPE_CERTIFICATE",
        "the control key's certificate is not valid now: check this machine's clock, then the issuer's control certificate",
      );
    }
    if (this.#revoked.has(proven.key.keyId))
      throw new EnvelopeError("ENVELOPE_CERTIFICATE", "the control key is revoked");
    return proven.key;
  }

  #prove(certificate: string): ProvenCertificate {
    const bytes = Buffer.from(certificate, "base64");
    const name = sha256Hex(bytes);
    const known = this.#proven.get(name);
    if (known !== undefined) return known;
    const { payload } = openEnvelope(bytes, ["control"], this.at(0));
    if (payload.td !== this.trustDomain) {
      throw new EnvelopeError(
        "ENVELOPE_TRUST_DOMAIN",
        `control certificate is for ${payload.td}, not ${this.trustDomain}`,
      );
    }
    const key = verifyingKey(Buffer.from(payload.publicKey, "base64"), "EdDSA");
    const proven: ProvenCertificate = {
      key,
      notBefore: payload.notBefore,
      notAfter: payload.notAfter,
    };
    if (this.#proven.size >= rememberedCertificates) this.#proven.clear();
    this.#proven.set(name, proven);
    return proven;
  }
}

/** A finder that knows one key, for one role that the control root does not vouch for. */
export function onlyKey(role: "token" | "node" | "operator-ca", key: VerifyingKey): KeyFinder {
  return {
    keyFor(kind) {
      if (kinds[kind].role !== role)
        throw new EnvelopeError("ENVELOPE_SIGNER", `a ${kind} is not signed by a ${role} key`);
      return key;
    },
  };
}
