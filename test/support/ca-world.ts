import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import type { Bundle } from "../../src/core/bundle/bundle.ts";
import {
  parseSpiffeId,
  parseTrustDomain,
  type SpiffeId,
  type TrustDomain,
  trustDomainId,
} from "../../src/core/spiffe/spiffe-id.ts";
import type { X509Svid } from "../../src/core/svid/workload-view.ts";
import { type Certificate, parseCertificate } from "../../src/core/x509/certificate.ts";
import { contextTag, tag } from "../../src/core/x509/der-tag.ts";
import {
  bitString,
  derTrue,
  element,
  objectIdentifier,
  octetString,
  sequence,
  time,
  unsignedInteger,
  utf8String,
} from "../../src/core/x509/der-writer.ts";
import {
  authorityKeyIdentifier,
  basicConstraints,
  extendedKeyUsage,
  keyUsage,
  subjectAltName,
  subjectKeyIdentifier,
} from "../../src/core/x509/extension-writer.ts";
import { oid } from "../../src/core/x509/oid.ts";
import { keyIdOf } from "../../src/core/x509/public-key.ts";

/** The moment at which the world is set; nothing here reads a clock. */
export const noon: number = Date.UTC(2026, 10, 22, 12);
export const hour = 3_600_000;

/** A key that signs in one way, right or wrong for it. */
export interface WorldKey {
  readonly privateKey: KeyObject;
  readonly spki: Uint8Array;
  /** AlgorithmIdentifier, DER. */
  readonly algorithm: Uint8Array;
  readonly digest: string | null;
}

export type KeyKind = "p256" | "p384" | "rsa2048" | "rsa1024" | "ed25519" | "p256-sha1";

/** An authority with its key: it can sign whatever a test wants. */
export interface WorldAuthority {
  readonly trustDomain: TrustDomain;
  readonly key: WorldKey;
  readonly der: Uint8Array;
  readonly certificate: Certificate;
}

/** Every part of a certificate that can be bent. Missing ones are as Herald's profile has them. */
interface Bend {
  readonly key?: WorldKey;
  readonly uris?: readonly string[];
  readonly dnsNames?: readonly string[];
  readonly serial?: Uint8Array;
  readonly subject?: Uint8Array;
  readonly issuer?: Uint8Array;
  readonly notBefore?: number;
  readonly notAfter?: number;
  readonly version?: number;
  /** Extensions to write in place of the profile's, by OID; undefined leaves one out. */
  readonly replace?: Readonly<Record<string, Uint8Array | undefined>>;
  readonly add?: readonly Uint8Array[];
  /** The algorithm written outside of the signed part. */
  readonly outerAlgorithm?: Uint8Array;
  readonly withSignature?: (signature: Uint8Array) => Uint8Array;
}

export interface AuthorityBend extends Bend {
  readonly trustDomain?: string;
  readonly kind?: KeyKind;
  /** Signed by this one instead of itself: an intermediate. */
  readonly parent?: WorldAuthority;
}

export interface SvidBend extends Bend {
  readonly id?: string;
}

const algorithms: Readonly<Record<KeyKind, { algorithm: Uint8Array; digest: string | null }>> = {
  p256: { algorithm: sequence(objectIdentifier(oid.ecdsaWithSha256)), digest: "sha256" },
  p384: { algorithm: sequence(objectIdentifier(oid.ecdsaWithSha384)), digest: "sha384" },
  rsa2048: { algorithm: rsaAlgorithm(), digest: "sha256" },
  rsa1024: { algorithm: rsaAlgorithm(), digest: "sha256" },
  ed25519: { algorithm: sequence(objectIdentifier(oid.ed25519)), digest: null },
  "p256-sha1": { algorithm: sequence(objectIdentifier("1.2.840.10045.4.1")), digest: "sha1" },
};

/** A new key. */
export function makeKey(kind: KeyKind = "p256"): WorldKey {
  const { publicKey, privateKey } = generate(kind);
  const spki = new Uint8Array(publicKey.export({ type: "spki", format: "der" }));
  return { privateKey, spki, ...algorithms[kind] };
}

let serials = 0n;

/** A serial that no other certificate of this run has. */
export function nextSerial(): Uint8Array {
  serials += 1n;
  return Buffer.from(`4a${serials.toString(16).padStart(30, "0")}`, "hex");
}

/** A Name with one common name. */
export function commonName(text: string): Uint8Array {
  return sequence(element(tag.set, sequence(objectIdentifier(oid.commonName), utf8String(text))));
}

/** Any extension. */
export function extension(id: string, critical: boolean, value: Uint8Array): Uint8Array {
  return sequence(objectIdentifier(id), ...(critical ? [derTrue] : []), octetString(value));
}

/** An authority, self-signed unless it has a parent. */
export function makeAuthority(bend: AuthorityBend = {}): WorldAuthority {
  const trustDomain = parseTrustDomain(bend.trustDomain ?? "example.org");
  const key = bend.key ?? makeKey(bend.kind);
  const serial = bend.serial ?? nextSerial();
  const subject = bend.subject ?? commonName(`authority ${Buffer.from(serial).toString("hex")}`);
  const signer = bend.parent?.key ?? key;
  const names = { uris: bend.uris ?? [trustDomainId(trustDomain)], dnsNames: [] };
  const der = certify(
    { notBefore: noon - 24 * hour, notAfter: noon + 24 * hour, ...bend, key, serial, subject },
    {
      issuer: bend.parent?.certificate.subject ?? subject,
      signer,
      extensions: {
        [oid.basicConstraints]: basicConstraints(true),
        [oid.keyUsage]: keyUsage("keyCertSign", "cRLSign"),
        [oid.subjectKeyIdentifier]: subjectKeyIdentifier(keyIdOf(key.spki)),
        [oid.authorityKeyIdentifier]: authorityKeyIdentifier(keyIdOf(signer.spki)),
        [oid.subjectAltName]: subjectAltName(names, false),
      },
    },
  );
  return { trustDomain, key, der, certificate: parseCertificate(der) };
}

/** A leaf's DER, signed by `authority`; bent as told. */
export function makeLeaf(authority: WorldAuthority, bend: SvidBend = {}): Uint8Array {
  const key = bend.key ?? makeKey();
  return certify(
    { ...bend, key },
    {
      issuer: authority.certificate.subject,
      signer: authority.key,
      extensions: {
        [oid.keyUsage]: keyUsage("digitalSignature"),
        [oid.extendedKeyUsage]: extendedKeyUsage(oid.serverAuth, oid.clientAuth),
        [oid.basicConstraints]: basicConstraints(false),
        [oid.authorityKeyIdentifier]: authorityKeyIdentifier(keyIdOf(authority.key.spki)),
        [oid.subjectKeyIdentifier]: subjectKeyIdentifier(keyIdOf(key.spki)),
        [oid.subjectAltName]: subjectAltName(
          {
            uris: bend.uris ?? [bend.id ?? "spiffe://example.org/web"],
            dnsNames: bend.dnsNames ?? [],
          },
          true,
        ),
      },
    },
  );
}

/** An SVID as a workload holds it, signed by the last of `path`'s authorities; the root comes first and is not served. */
export function makeSvid(path: readonly WorldAuthority[], bend: SvidBend = {}): X509Svid {
  const authority = path.at(-1) ?? makeAuthority();
  const key = bend.key ?? makeKey();
  const leaf = makeLeaf(authority, { ...bend, key });
  const { serial, notAfter } = parseCertificate(leaf);
  return {
    id: parseSpiffeId(bend.id ?? "spiffe://example.org/web"),
    chain: [
      leaf,
      ...path
        .slice(1)
        .toReversed()
        .map((one) => one.der),
    ],
    privateKey: new Uint8Array(key.privateKey.export({ type: "pkcs8", format: "der" })),
    serial,
    expiresAt: notAfter,
    hint: "",
  };
}

/** A bundle of these authorities. */
export function makeBundle(
  trustDomain: string,
  authorities: readonly WorldAuthority[],
  sequenceNumber = 1n,
): Bundle {
  return {
    trustDomain: parseTrustDomain(trustDomain),
    sequence: sequenceNumber,
    refreshHintSeconds: 300,
    x509Authorities: authorities.map((one) => one.der),
    jwtAuthorities: [],
  };
}

/** Bundles by trust domain, as verifiers take them. */
export function bundlesOf(...bundles: readonly Bundle[]): ReadonlyMap<TrustDomain, Bundle> {
  return new Map(bundles.map((bundle) => [bundle.trustDomain, bundle]));
}

/** A SPIFFE ID of example.org. */
export function idOf(path: string): SpiffeId {
  return parseSpiffeId(`spiffe://example.org${path}`);
}

function certify(
  bend: Bend & { readonly key: WorldKey },
  by: {
    readonly issuer: Uint8Array;
    readonly signer: WorldKey;
    readonly extensions: Readonly<Record<string, Uint8Array>>;
  },
): Uint8Array {
  const extensions = Object.entries({ ...by.extensions, ...bend.replace })
    .map(([, value]) => value)
    .concat(bend.add ?? [])
    .filter((value) => value !== undefined);
  const version = bend.version ?? 2;
  const toBeSigned = sequence(
    ...(version === 0 ? [] : [element(contextTag(0), unsignedInteger(Uint8Array.of(version)))]),
    unsignedInteger(bend.serial ?? nextSerial()),
    by.signer.algorithm,
    bend.issuer ?? by.issuer,
    sequence(time(bend.notBefore ?? noon - 10_000), time(bend.notAfter ?? noon + hour)),
    bend.subject ?? sequence(),
    bend.key.spki,
    element(contextTag(3), sequence(...extensions)),
  );
  const signature = new Uint8Array(sign(by.signer.digest, toBeSigned, by.signer.privateKey));
  const bent = bend.withSignature?.(signature) ?? signature;
  return sequence(toBeSigned, bend.outerAlgorithm ?? by.signer.algorithm, bitString(bent));
}

function generate(kind: KeyKind): { publicKey: KeyObject; privateKey: KeyObject } {
  switch (kind) {
    case "p256":
    case "p256-sha1":
      return generateKeyPairSync("ec", { namedCurve: "P-256" });
    case "p384":
      return generateKeyPairSync("ec", { namedCurve: "P-384" });
    case "rsa2048":
      return generateKeyPairSync("rsa", { modulusLength: 2048 });
    case "rsa1024":
      return generateKeyPairSync("rsa", { modulusLength: 1024 });
    case "ed25519":
      return generateKeyPairSync("ed25519");
  }
}

function rsaAlgorithm(): Uint8Array {
  return sequence(objectIdentifier(oid.sha256WithRsa), element(tag.null));
}
