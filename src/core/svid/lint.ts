import {
  isReserved,
  parseSpiffeId,
  pathOf,
  trustDomainId,
  trustDomainOf,
} from "../spiffe/spiffe-id.ts";
import { type Certificate, parseToBeSigned, type ToBeSigned } from "../x509/certificate.ts";
import type { KeyUsageBit } from "../x509/extensions.ts";
import { oid } from "../x509/oid.ts";
import { ecAlgorithmOf, isOnCurve, keyIdHexOf } from "../x509/public-key.ts";
import { algorithmIdentifier } from "../x509/signature-algorithm.ts";
import { SvidError, type SvidErrorCode } from "./errors.ts";
import { isExactLeaf, type LeafFields } from "./exact-leaf.ts";
import { staysWithin } from "./name-constraints.ts";
import { isSame } from "./path.ts";

/** What the bytes to be signed are expected to say. */
export interface LintExpectation extends LeafFields {
  /** The authority and those above it, whose name constraints bind what it signs. Defaults to the authority alone. */
  readonly path?: readonly Certificate[];
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** Whether an entry asked for it; then IDs below /herald are refused, which only nodes, issuers and brokers have. Defaults to false. */
  readonly isForEntry?: boolean;
}

/**
 * The structural lint that stands before every signature (protocol.md, "Issuance order"): reads the bytes to be signed
 * anew, with the reader and not the writer, and refuses whatever is off Herald's profile or differs from what was meant.
 * @throws {SvidError} any LINT_ code
 */
export function lintSvid(toBeSigned: Uint8Array, expected: LintExpectation): void {
  // What is byte for byte the profile's needs no closer look; anything else gets one, to be named or, if it only looks unusual, to pass.
  const found = isJudgedAtAGlance(toBeSigned, expected) ? undefined : read(toBeSigned);
  checkAuthority(expected);
  checkExpected(expected);
  if (found !== undefined) checkFound(found, expected);
}

/** Name constraints of a CA above are about names as they are read, so under such a CA every certificate is read. */
function isJudgedAtAGlance(toBeSigned: Uint8Array, expected: LintExpectation): boolean {
  const { authority, path = [authority] } = expected;
  return (
    path.every((above) => above.nameConstraints === undefined) && isExactLeaf(toBeSigned, expected)
  );
}

function checkFound(found: ToBeSigned, expected: LintExpectation): void {
  checkSigner(found, expected.authority);
  checkSerial(found, expected.serial);
  checkDates(found, expected);
  checkKey(found, expected);
  checkNames(found, expected);
  checkProfile(found);
}

function read(toBeSigned: Uint8Array): ToBeSigned {
  try {
    return parseToBeSigned(toBeSigned);
  } catch (error) {
    throw new SvidError(
      "LINT_MALFORMED",
      "certificate: the bytes to be signed are no TBSCertificate; report this",
      {
        cause: error,
      },
    );
  }
}

/** The authority may sign, now, for this trust domain: an SVID of a foreign one would verify nowhere, or worse. */
function checkAuthority({ authority, id, now }: LintExpectation): void {
  demand(
    authority.isCa &&
      authority.keyUsage?.bits.has("keyCertSign") === true &&
      authority.subjectKeyId !== undefined,
    "LINT_AUTHORITY",
    "authority: is no CA that may sign certificates; activate another one",
  );
  demand(
    now >= authority.notBefore && now <= authority.notAfter,
    "LINT_AUTHORITY",
    "authority: is expired or not yet valid; rotate it",
  );
  // An operator's own CA that signs directly may carry no SPIFFE ID at all (X509-SVID 3.2: it should).
  demand(
    authority.uris.every((name) => name === trustDomainId(trustDomainOf(id))),
    "LINT_AUTHORITY",
    "authority: belongs to another trust domain than the SPIFFE ID; sign with its own",
  );
}

function checkSigner(found: ToBeSigned, authority: Certificate): void {
  const curve = ecAlgorithmOf(authority.spki);
  demand(
    curve !== undefined && isSame(found.algorithmIdentifier, algorithmIdentifier(curve)),
    "LINT_ALGORITHM",
    "signature algorithm: is not the authority key's; use the template of this authority",
  );
  demand(
    isSame(found.issuer, authority.subject),
    "LINT_ISSUER",
    "issuer: is not the authority's subject; use the template of this authority",
  );
  demand(
    found.authorityKeyId === authority.subjectKeyId,
    "LINT_KEY_IDS",
    "authorityKeyIdentifier: is not the authority's; use the template of this authority",
  );
}

/** What was meant must itself be fit to be signed, whatever the bytes say. */
function checkExpected(expected: LintExpectation): void {
  checkSerialLength(expected.serial);
  checkLifetime(expected);
  checkKeyFits(expected);
  checkId(expected);
}

const serialAdvice =
  "serial: is not the recorded one, or not 8 to 20 octets; draw 16 random bytes whose first is not 0";

/** XSVID-26: 64 bits at least; at most 20 octets with the sign byte. */
function checkSerialLength(serial: Uint8Array): void {
  const [first = 0] = serial;
  const signByte = first >= 0x80 ? 1 : 0;
  const isFit = first !== 0 && serial.length >= 8 && serial.length + signByte <= 20;
  demand(isFit, "LINT_SERIAL", serialAdvice);
}

function checkSerial(found: ToBeSigned, serial: Uint8Array): void {
  const isSame = found.serial === Buffer.from(serial).toString("hex");
  demand(isSame, "LINT_SERIAL", serialAdvice);
}

function checkLifetime(expected: LintExpectation): void {
  const { now, authority } = expected;
  const notAfter = wholeSeconds(expected.notAfter);
  demand(
    wholeSeconds(expected.notBefore) <= now && notAfter > now,
    "LINT_DATES",
    "dates: do not hold now; choose a longer lifetime",
  );
  // XSVID-24: what outlives its issuer fails at every verifier, at a moment that nobody planned.
  demand(
    notAfter <= authority.notAfter,
    "LINT_DATES",
    "notAfter: is past the authority's; cut the lifetime or rotate the authority",
  );
}

const keyAdvice = "public key: is not the asker's, or not on P-256 or P-384; send another";

function checkKeyFits({ spki, authority }: LintExpectation): void {
  demand(isOnCurve(spki), "LINT_KEY", keyAdvice);
  // A workload that is handed the authority's own key would be an authority.
  demand(
    !isSame(spki, authority.spki),
    "LINT_KEY",
    "public key: is the authority's own; report this",
  );
}

function checkId({ id, isForEntry }: LintExpectation): void {
  demand(parseSpiffeId(id) === id && pathOf(id) !== "", "LINT_ID", idAdvice);
  demand(
    isForEntry !== true || !isReserved(id),
    "LINT_RESERVED",
    "SPIFFE ID: is below /herald, which no entry may use; choose another path",
  );
}

const idAdvice = "URI name: is not exactly the SPIFFE ID asked for, with a path; report this";

function checkDates(found: ToBeSigned, expected: LintExpectation): void {
  demand(
    found.notBefore === wholeSeconds(expected.notBefore) &&
      found.notAfter === wholeSeconds(expected.notAfter),
    "LINT_DATES",
    "dates: are not those that were asked for; report this",
  );
}

function checkKey(found: ToBeSigned, expected: LintExpectation): void {
  demand(isSame(found.spki, expected.spki), "LINT_KEY", keyAdvice);
  demand(
    found.subjectKeyId === keyIdHexOf(found.spki),
    "LINT_KEY_IDS",
    "subjectKeyIdentifier: is not that of the key; report this",
  );
}

function checkNames(found: ToBeSigned, expected: LintExpectation): void {
  const { id } = expected;
  demand(
    found.isSubjectEmpty,
    "LINT_SUBJECT",
    "subject: is not empty; the SPIFFE ID is the only name",
  );
  demand(found.uris.length === 1 && found.uris[0] === id, "LINT_ID", idAdvice);
  const { names } = found;
  demand(
    names.dnsNames.length === expected.dnsNames.length &&
      names.dnsNames.every((name, index) => name === expected.dnsNames[index]) &&
      names.emails.length + names.ipAddresses.length + names.others === 0,
    "LINT_NAMES",
    "alternative names: are not the entry's; report this",
  );
  const { authority, path = [authority] } = expected;
  demand(
    path.every((above) => staysWithin(found, above)),
    "LINT_NAME_CONSTRAINT",
    "alternative names: one is not within the name constraints of a CA above, so that no verifier would accept it; change the entry's DNS names, or have the CA issued for them",
  );
}

/** The extensions of a leaf and whether each is critical, complete: anything else is off the profile. */
const leafExtensions: ReadonlyMap<string, boolean> = new Map<string, boolean>([
  [oid.keyUsage, true],
  [oid.extendedKeyUsage, false],
  [oid.basicConstraints, true],
  [oid.authorityKeyIdentifier, false],
  [oid.subjectKeyIdentifier, false],
  [oid.subjectAltName, true],
]);

const leafUsage: readonly KeyUsageBit[] = ["digitalSignature"];

/** XSVID-05, -06, -08, -09, -10, -12. */
function checkProfile(found: ToBeSigned): void {
  demand(
    found.extensions.length === leafExtensions.size &&
      found.extensions.every((one) => leafExtensions.get(one.oid) === one.critical),
    "LINT_EXTENSIONS",
    "extensions: one is missing, superfluous or wrongly critical; report this",
  );
  demand(!found.isCa, "LINT_PROFILE", "basicConstraints: says CA; a workload is none");
  demand(
    found.keyUsage?.bits.size === leafUsage.length &&
      leafUsage.every((bit) => found.keyUsage?.bits.has(bit) === true),
    "LINT_PROFILE",
    "keyUsage: is not digitalSignature alone; report this",
  );
  const purposes = found.extendedKeyUsages ?? [];
  demand(
    purposes.length === 2 && purposes.includes(oid.serverAuth) && purposes.includes(oid.clientAuth),
    "LINT_PROFILE",
    "extKeyUsage: is not serverAuth and clientAuth; report this",
  );
}

function wholeSeconds(ms: number): number {
  return Math.floor(ms / 1000) * 1000;
}

function demand(holds: boolean, code: SvidErrorCode, message: string): asserts holds {
  if (!holds) throw new SvidError(code, message);
}
