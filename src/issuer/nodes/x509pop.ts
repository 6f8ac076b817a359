import { createPublicKey } from "node:crypto";
import {
  algOfKey,
  type ClaimedSignature,
  openEnvelope,
  type VerifyingKey,
  verifyingKey,
} from "../../core/envelope/envelope.ts";
import { type ControlTrust, onlyKey } from "../../core/envelope/trust.ts";
import { parseSpiffeId, type SpiffeId, trustDomainId } from "../../core/spiffe/spiffe-id.ts";
import { endOf, findPath } from "../../core/svid/path.ts";
import { type Certificate, parseCertificate } from "../../core/x509/certificate.ts";
import { oid } from "../../core/x509/oid.ts";
import type { Clock } from "../../kit/clock.ts";
import { HeraldError, reasonOf } from "../../kit/errors.ts";
import { type CertificateText, fillIn, fingerprintOf } from "../certificate-text.ts";
import { Refusal, refuseStale } from "../requests.ts";
import type { Attested, NodeAttestor } from "./node-attestor.ts";

/** What an operator sets for the attestor `x509pop`. */
export interface X509PopSettings {
  /** The operator's CAs, DER. They vouch for nodes and for nothing else. */
  readonly authorities: readonly Uint8Array[];
  /** The last segment of the node's SPIFFE ID, with exactly one part that the certificate fills in: two would make one name of two certificates. */
  readonly name: CertificateText;
  readonly labels: Readonly<Record<string, CertificateText>>;
  /** Serials of certificates that are taken no more; lower-case hex. */
  readonly deniedSerials: readonly string[];
}

export interface X509PopOptions extends X509PopSettings {
  readonly trust: ControlTrust;
  readonly clock: Clock;
}

/** `anyExtendedKeyUsage`, RFC 5280 4.2.1.12. */
const anyPurpose = "2.5.29.37.0";

/**
 * The attestor `x509pop` (SPIRE has one of that name): whoever proves to hold the key of a certificate of the operator's CA is the node that the
 * certificate names. The proof may be given again with a new node key, which takes the place of the old one: a machine was installed anew.
 */
export class X509Pop implements NodeAttestor {
  readonly #options: X509PopOptions;
  readonly #anchors: readonly Certificate[];

  constructor(options: X509PopOptions) {
    this.#options = options;
    this.#anchors = options.authorities.map(parseCertificate);
  }

  attest(bytes: Uint8Array): Attested {
    const { clock, labels } = this.#options;
    const { trustDomain, pin } = this.#options.trust;
    let leaf: Certificate | undefined;
    const { payload, digest } = openEnvelope(bytes, ["x509pop-enrol-request"], {
      keyFor: (kind, signature) => {
        leaf = this.#verifiedLeaf(signature);
        return onlyKey("operator-ca", keyOf(leaf)).keyFor(kind, signature);
      },
    });
    if (leaf === undefined || payload.certificate !== fingerprintOf(leaf.der))
      throw invalid("the request names another certificate than the one it comes with");
    if (payload.td !== trustDomain || payload.pin !== pin)
      throw invalid(
        `the request is for another control root than ${trustDomain}'s; check the issuer's URL and the node's attestor.pin`,
      );
    refuseStale(payload.at, clock.now());
    const proven = leaf;
    return {
      request: digest,
      node: this.#nodeOf(proven),
      attestor: "x509pop",
      labels: labelsOf(labels, proven),
      governs: Object.keys(labels),
      csr: payload.csr,
      sealingKey: payload.sealingKey,
      takesPlace: true,
      by: `x509pop certificate ${payload.certificate} serial ${proven.serial}`,
      // Nothing is used up: a replayed request brings a key that is known already, the current one or a retired one.
      claim: () => [],
    };
  }

  #verifiedLeaf({ chain = [] }: ClaimedSignature): Certificate {
    const { clock, deniedSerials } = this.#options;
    const [leaf, ...intermediates] = parseChain(chain);
    if (leaf === undefined) throw invalid("the signature comes without its certificate chain");
    const now = clock.now();
    checkLeaf(leaf, now);
    if (deniedSerials.includes(leaf.serial))
      throw invalid(`serial ${leaf.serial} is on the issuer's deny list`);
    try {
      findPath({ leaf, intermediates, anchors: this.#anchors, now });
    } catch (cause) {
      if (!(cause instanceof HeraldError)) throw cause;
      throw invalid(`no CA of attestors.x509pop.caFile vouches for it: ${reasonOf(cause)}`, cause);
    }
    return leaf;
  }

  #nodeOf(leaf: Certificate): SpiffeId {
    const name = fillIn(this.#options.name, leaf);
    if (name === undefined || !/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/.test(name)) {
      throw new Refusal(
        "NODE_NAME",
        "the certificate gives no usable node name by the issuer's attestors.x509pop.name: it lacks that part, has it twice, or in other characters than A-Z a-z 0-9 . _ -",
      );
    }
    return parseSpiffeId(
      `${trustDomainId(this.#options.trust.trustDomain)}/herald/node/x509pop/${name}`,
    );
  }
}

function parseChain(chain: readonly string[]): readonly Certificate[] {
  try {
    return chain.map((der) => parseCertificate(Buffer.from(der, "base64")));
  } catch (cause) {
    throw invalid(`the chain holds something that is no certificate: ${reasonOf(cause)}`, cause);
  }
}

/** Dates, and what a certificate must be for its holder to be a machine that authenticates itself. */
function checkLeaf(leaf: Certificate, now: number): void {
  if (now < leaf.notBefore) throw invalid("the certificate is not valid yet; check the clocks");
  if (now >= endOf(leaf))
    throw invalid("the certificate has expired; renew it with the operator's CA");
  if (leaf.isCa || leaf.keyUsage?.bits.has("keyCertSign") === true)
    throw invalid("the certificate is a CA's; give the node one of its own");
  if (leaf.keyUsage?.bits.has("digitalSignature") === false)
    throw invalid("the certificate's keyUsage lacks digitalSignature");
  const purposes = leaf.extendedKeyUsages;
  if (
    purposes !== undefined &&
    !purposes.includes(oid.clientAuth) &&
    !purposes.includes(anyPurpose)
  )
    throw invalid("the certificate's extended key usage lacks clientAuth");
  if (leaf.unknownCriticalExtensions.length > 0)
    throw invalid(
      `the certificate has the unknown critical extension ${leaf.unknownCriticalExtensions.join(", ")}`,
    );
}

function keyOf(leaf: Certificate): VerifyingKey {
  try {
    const key = createPublicKey({ key: Buffer.from(leaf.spki), format: "der", type: "spki" });
    const alg = algOfKey(key);
    if (alg !== undefined && alg !== "EdDSA") return verifyingKey(leaf.spki, alg);
  } catch (cause) {
    throw invalid("the certificate's public key cannot be read", cause);
  }
  throw invalid(
    "the certificate's key is neither ECDSA on P-256 or P-384 nor RSA of at least 2048 bits",
  );
}

function labelsOf(
  labels: Readonly<Record<string, CertificateText>>,
  leaf: Certificate,
): Readonly<Record<string, string>> {
  const filled = Object.entries(labels).flatMap(([name, text]) => {
    const value = fillIn(text, leaf);
    // A label that the certificate does not fill in is not there: entries that ask for it do not hold.
    return value === undefined || value.length > 256 ? [] : [[name, value] as const];
  });
  return Object.fromEntries(filled);
}

function invalid(what: string, cause?: unknown): Refusal {
  return new Refusal("CERTIFICATE_INVALID", `x509pop: ${what}`, { cause });
}
