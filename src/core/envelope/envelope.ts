import { constants, createPublicKey, type KeyObject, verify } from "node:crypto";
import { z } from "zod";
import { compactText, parseCompactJson, printCompactJson } from "./compact-json.ts";
import { EnvelopeError } from "./error.ts";
import { base64, digest } from "./fields.ts";
import {
  type Alg,
  algsOf,
  type Kind,
  kindOf,
  kinds,
  type Payloads,
  payloadTypeOf,
} from "./kinds.ts";
import { encodedText, keyIdOf, sha256Hex } from "./pae.ts";

/** Signs envelopes with one key. The key may sit in another process or a token, hence the promise. */
export interface EnvelopeSigner {
  readonly keyId: string;
  readonly alg: Alg;
  /** Members that the role wants beside the signature: `publicKey` for the root, `certificate` for control keys, `chain` (leaf first) for an operator's CA. */
  readonly accompanied: {
    readonly publicKey?: string;
    readonly certificate?: string;
    readonly chain?: readonly string[];
  };
  sign(bytes: Uint8Array): Promise<Uint8Array>;
}

/** A public key that may sign some kinds; see {@link openEnvelope}. */
export interface VerifyingKey {
  readonly keyId: string;
  readonly alg: Alg;
  readonly key: KeyObject;
}

/** Finds the key that a signature claims, for a kind's role, or refuses by throwing EnvelopeError ENVELOPE_SIGNER or ENVELOPE_CERTIFICATE. */
export interface KeyFinder {
  keyFor(kind: Kind, signature: ClaimedSignature): VerifyingKey;
}

/** One signature as the envelope claims it; nothing in it is proven yet. */
export interface ClaimedSignature {
  readonly keyid: string;
  readonly alg: Alg;
  readonly sig: string;
  readonly publicKey?: string | undefined;
  readonly certificate?: string | undefined;
  readonly chain?: readonly string[] | undefined;
}

/** A payload whose signature held. */
export interface Opened<K extends Kind> {
  readonly kind: K;
  readonly payload: Payloads[K];
  /** SHA-256 of the signed bytes: names the contents. */
  readonly digest: string;
  readonly keyId: string;
  /** The envelope as it came, to be kept or passed on. */
  readonly bytes: Uint8Array;
}

const envelopeShape = z.strictObject({
  payloadType: z.string().max(128),
  payload: base64,
  signatures: z
    .array(
      z.strictObject({
        keyid: digest,
        alg: z.enum(["EdDSA", "ES256", "ES384", "PS256"]),
        sig: base64,
        publicKey: base64.optional(),
        certificate: base64.optional(),
        chain: z.array(base64).min(1).max(8).optional(),
      }),
    )
    .min(1)
    .max(16),
});

/** An envelope that was just made. */
interface Sealed {
  readonly bytes: Buffer;
  /** SHA-256 of the signed bytes: names the contents. */
  readonly digest: string;
}

/** Signs a payload. The result is what goes over the wire and on disk. @throws EnvelopeError PAYLOAD_SHAPE, PAYLOAD_NOT_COMPACT before anything is signed */
export async function sealEnvelope<K extends Kind>(
  kind: K,
  payload: Payloads[K],
  signer: EnvelopeSigner,
): Promise<Sealed> {
  const encoded = encodedText(payloadTypeOf(kind), compactText(payload), "utf8");
  // What could not be read back must not be signed: a journal that holds it could not be opened again.
  readPayload(kind, encoded.payload);
  return await seal(kind, encoded, signer);
}

/**
 * As {@link sealEnvelope}, without reading the payload back: for the two kinds of the signing path, whose every member was read through its shape when
 * the request, the entry and the authority it comes from were opened.
 */
export async function sealProvenParts<K extends "sign-reply" | "audit-record">(
  kind: K,
  payload: Payloads[K],
  signer: EnvelopeSigner,
): Promise<Sealed> {
  return await seal(kind, encodedText(payloadTypeOf(kind), compactText(payload), "utf8"), signer);
}

async function seal(
  kind: Kind,
  { signed, payload }: { readonly signed: Buffer; readonly payload: Buffer },
  signer: EnvelopeSigner,
): Promise<Sealed> {
  const sig = Buffer.from(await signer.sign(signed)).toString("base64");
  const bytes = printCompactJson({
    payloadType: payloadTypeOf(kind),
    payload: payload.toString("base64"),
    signatures: [{ keyid: signer.keyId, alg: signer.alg, sig, ...signer.accompanied }],
  });
  return { bytes, digest: sha256Hex(signed) };
}

/**
 * Proves an envelope to be of one of `expected` kinds and signed by the one role that may sign it, and only then reads its payload.
 *
 * @throws EnvelopeError naming what is wrong; nothing of the payload was looked at before its signature held.
 */
export function openEnvelope<K extends Kind>(
  bytes: Uint8Array,
  expected: readonly K[],
  keys: KeyFinder,
): Opened<K> {
  const envelope = readEnvelope(bytes);
  const kind = expected.find((candidate) => payloadTypeOf(candidate) === envelope.payloadType);
  if (kind === undefined) {
    throw new EnvelopeError(
      "ENVELOPE_KIND",
      `envelope is a ${kindOf(envelope.payloadType) ?? JSON.stringify(envelope.payloadType)}, expected ${expected.join(" or ")}`,
    );
  }
  const { signed, payload } = encodedText(envelope.payloadType, envelope.payload, "base64");
  const keyId = provenSigner(kind, { signed, signatures: envelope.signatures, keys });
  return { kind, payload: readPayload(kind, payload), digest: sha256Hex(signed), keyId, bytes };
}

/** What an envelope says of itself, all of it unproven: only for choosing the key to prove it with, and for binding a refusal to it. */
export interface Claim {
  readonly kind: Kind | undefined;
  readonly digest: string;
  readonly keyIds: readonly string[];
}

/** @throws EnvelopeError ENVELOPE_MALFORMED, PAYLOAD_NOT_COMPACT */
export function claimOf(bytes: Uint8Array): Claim {
  const { payloadType, payload, signatures } = readEnvelope(bytes);
  const digest = sha256Hex(encodedText(payloadType, payload, "base64").signed);
  return { kind: kindOf(payloadType), digest, keyIds: signatures.map(({ keyid }) => keyid) };
}

/** A verifying key from its SubjectPublicKeyInfo. */
export function verifyingKey(spki: Uint8Array, alg: Alg): VerifyingKey {
  try {
    const key = createPublicKey({ key: Buffer.from(spki), format: "der", type: "spki" });
    if (algOfKey(key) !== alg) throw new RangeError(`key is not one for ${alg}`);
    return { keyId: keyIdOf(spki), alg, key };
  } catch (cause) {
    throw new EnvelopeError("ENVELOPE_SIGNER", "public key is unreadable or of another algorithm", {
      cause,
    });
  }
}

/** Below this RSA is refused (NIST SP 800-131A). */
const leastRsaBits = 2048;

/** The one algorithm that a key signs envelopes with; undefined for keys that sign none. */
export function algOfKey(key: KeyObject): Alg | undefined {
  const { namedCurve, modulusLength = 0 } = key.asymmetricKeyDetails ?? {};
  if (key.asymmetricKeyType === "ed25519") return "EdDSA";
  if (key.asymmetricKeyType === "rsa") return modulusLength >= leastRsaBits ? "PS256" : undefined;
  if (namedCurve === "prime256v1") return "ES256";
  return namedCurve === "secp384r1" ? "ES384" : undefined;
}

function readEnvelope(bytes: Uint8Array): z.infer<typeof envelopeShape> {
  const parsed = envelopeShape.safeParse(parseCompactJson(bytes));
  if (!parsed.success)
    throw new EnvelopeError("ENVELOPE_MALFORMED", `envelope: ${z.prettifyError(parsed.error)}`);
  return parsed.data;
}

function provenSigner(
  kind: Kind,
  claim: {
    readonly signed: Uint8Array;
    readonly signatures: readonly ClaimedSignature[];
    readonly keys: KeyFinder;
  },
): string {
  let refusal: unknown;
  for (const signature of claim.signatures) {
    try {
      if (!algsOf(kind).includes(signature.alg)) {
        throw new EnvelopeError(
          "ENVELOPE_SIGNER",
          `a ${kind} is signed with ${algsOf(kind).join(" or ")}, not ${signature.alg}`,
        );
      }
      const found = claim.keys.keyFor(kind, signature);
      const isMeant = found.keyId === signature.keyid && found.alg === signature.alg;
      if (isMeant && signatureHolds(found, claim.signed, signature.sig)) return found.keyId;
      throw new EnvelopeError(
        "ENVELOPE_SIGNATURE",
        `signature of the ${kind} does not hold for key ${found.keyId.slice(0, 16)}`,
      );
    } catch (thrown) {
      refusal = thrown;
    }
  }
  throw refusal;
}

function signatureHolds({ alg, key }: VerifyingKey, signed: Uint8Array, sig: string): boolean {
  const { hash, ...how } = signingScheme(alg);
  return verify(hash, signed, { key, ...how }, Buffer.from(sig, "base64"));
}

/** How node:crypto signs and verifies with an algorithm. */
export function signingScheme(alg: Alg): {
  readonly hash: string | null;
  readonly dsaEncoding?: "ieee-p1363";
  readonly padding?: number;
  readonly saltLength?: number;
} {
  switch (alg) {
    case "EdDSA":
      return { hash: null };
    case "ES256":
      return { hash: "sha256", dsaEncoding: "ieee-p1363" };
    case "ES384":
      return { hash: "sha384", dsaEncoding: "ieee-p1363" };
    case "PS256":
      return { hash: "sha256", padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 };
  }
}

function readPayload<K extends Kind>(kind: K, body: Uint8Array): Payloads[K] {
  const parsed = kinds[kind].shape.safeParse(parseCompactJson(body));
  if (!parsed.success)
    throw new EnvelopeError("PAYLOAD_SHAPE", `${kind}: ${z.prettifyError(parsed.error)}`);
  return parsed.data;
}
