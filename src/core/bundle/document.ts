import type { TrustDomain } from "../spiffe/spiffe-id.ts";
import type { Bundle, JwtAuthority } from "./bundle.ts";
import { findDuplicateMember } from "./duplicate-members.ts";
import { BundleError } from "./errors.ts";
import { certificateOf, jwtAuthorityOf, jwtEntry, keyText, type RawJwk, x509Entry } from "./jwk.ts";

/** FED-23: a bundle of hundreds of keys stays far below. */
const longestDocument = 1 << 20;

/** The sequence is an unsigned 64-bit number with every implementation (BDL-04). */
const largestSequence = 2n ** 64n - 1n;

/** What JSON.parse gives a reviver beside the value: the literal's text (ES2026), which the TypeScript library lacks yet. */
type Reviver = (key: string, value: unknown, context: { readonly source?: string }) => unknown;

/**
 * Reads a trust bundle document, leniently entry by entry and strictly as a whole (BDL-01 to BDL-09, XSVID-22). No usable
 * key is a good document that trusts nothing (BDL-09); an unreadable document is an error, and keeps the bundle before it.
 * @param trustDomain travels beside the document, which does not name it (BDL-12)
 * @throws {BundleError} BUNDLE_TOO_LARGE, _JSON, _DUPLICATE_MEMBER, _SHAPE, _KEYS_MISSING, _SEQUENCE, _DUPLICATE_KEY_ID
 */
export function parseBundle(trustDomain: TrustDomain, jsonText: string): Bundle {
  const document = parseDocument(jsonText);
  const {
    keys,
    spiffe_sequence: sequence,
    spiffe_refresh_hint: hint,
  } = {
    keys: document["keys"],
    spiffe_sequence: document["spiffe_sequence"],
    spiffe_refresh_hint: document["spiffe_refresh_hint"],
  };
  if (!Array.isArray(keys)) {
    throw new BundleError(
      "BUNDLE_KEYS_MISSING",
      'keys: is missing or no array; publish "keys", empty if need be',
    );
  }
  const entries = keys.filter(isObject);
  return {
    trustDomain,
    sequence: readSequenceNumber(sequence),
    refreshHintSeconds: readRefreshHint(hint),
    x509Authorities: withoutRepeats(
      ofUse(entries, "x509-svid").flatMap((jwk) => certificateOf(jwk) ?? []),
    ),
    jwtAuthorities: withDistinctKeyIds(
      ofUse(entries, "jwt-svid").flatMap((jwk) => jwtAuthorityOf(jwk) ?? []),
    ),
  };
}

/**
 * Writes a bundle as the strictest known consumer reads it (BDL-10, BDL-11): one spelling for one bundle, so that equal
 * bytes mean equal content. Its trust domain is not written (BDL-12).
 * @throws {BundleError} BUNDLE_SEQUENCE, _REFRESH_HINT, _AUTHORITY, _DUPLICATE_KEY_ID, _DUPLICATE_AUTHORITY
 */
export function formatBundle(bundle: Bundle): string {
  const { sequence, refreshHintSeconds: hint } = bundle;
  if (sequence < 0n || sequence > largestSequence) throw badSequence();
  if (hint !== undefined && !(Number.isSafeInteger(hint) && hint > 0)) {
    throw new BundleError(
      "BUNDLE_REFRESH_HINT",
      "spiffe_refresh_hint: is no positive number of whole seconds; correct it",
    );
  }
  withDistinctKeyIds(bundle.jwtAuthorities);
  const x509 = bundle.x509Authorities.map(x509Entry);
  const jwt = bundle.jwtAuthorities.map(jwtEntry);
  refuseSharedKeys(x509, jwt);
  // By hand, for JSON.stringify knows no bigint, and a double would round the sequence.
  const hintMember = hint === undefined ? "" : `,"spiffe_refresh_hint":${hint}`;
  return `{"keys":${JSON.stringify([...x509, ...jwt])},"spiffe_sequence":${sequence}${hintMember}}`;
}

/**
 * Whether two bundles say the same but for their sequence: what has to change it (BDL-03), and what must not differ at
 * the same one (BDL-17). The order of authorities is no content: some publishers keep them in maps.
 */
export function sameContent(one: Bundle, other: Bundle): boolean {
  const content = (bundle: Bundle): string =>
    JSON.stringify([
      bundle.trustDomain,
      bundle.refreshHintSeconds ?? null,
      bundle.x509Authorities.map((der) => Buffer.from(der).toString("base64")).toSorted(),
      bundle.jwtAuthorities.map(canonicalText).toSorted(),
    ]);
  return content(one) === content(other);
}

function canonicalText({ keyId, publicJwk }: JwtAuthority): string {
  const members = Object.entries(publicJwk).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([keyId, members]);
}

function parseDocument(text: string): RawJwk {
  if (text.length > longestDocument) {
    throw new BundleError(
      "BUNDLE_TOO_LARGE",
      "bundle: is larger than 1 MiB; remove retired authorities",
    );
  }
  const document = parseJson(text);
  const duplicate = findDuplicateMember(text);
  if (duplicate !== undefined) {
    throw new BundleError(
      "BUNDLE_DUPLICATE_MEMBER",
      `bundle: has the member ${JSON.stringify(duplicate)} twice; keep one`,
    );
  }
  if (!isObject(document)) {
    throw new BundleError("BUNDLE_SHAPE", "bundle: is no JSON object; publish a JWK Set");
  }
  return document;
}

/** JSON.parse, but a spiffe_sequence becomes the text of its literal, before a double could round it (BDL-04). */
function parseJson(text: string): unknown {
  const parse = JSON.parse as (text: string, reviver: Reviver) => unknown;
  try {
    return parse(text, (key, value, { source }) =>
      key === "spiffe_sequence" && typeof value === "number"
        ? new Literal(source ?? String(value))
        : value,
    );
  } catch (error) {
    throw new BundleError("BUNDLE_JSON", "bundle: is no JSON; check the endpoint", {
      cause: error,
    });
  }
}

/** A number's text, told apart from a JSON string by its class. */
class Literal {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** Absent is 0: older than everything, so that the next document with a sequence wins (FED-06). */
function readSequenceNumber(member: unknown): bigint {
  if (member === undefined) return 0n;
  if (!(member instanceof Literal) || !/^(0|[1-9]\d{0,19})$/.test(member.text)) throw badSequence();
  const sequence = BigInt(member.text);
  if (sequence > largestSequence) throw badSequence();
  return sequence;
}

/** BDL-06: what is no positive whole number counts as no hint; nobody's trust hangs on it. */
function readRefreshHint(member: unknown): number | undefined {
  return typeof member === "number" && Number.isSafeInteger(member) && member > 0
    ? member
    : undefined;
}

function ofUse(entries: readonly RawJwk[], use: "x509-svid" | "jwt-svid"): readonly RawJwk[] {
  return entries.filter((jwk) => jwk["use"] === use);
}

function withoutRepeats(certificates: readonly Uint8Array[]): readonly Uint8Array[] {
  const byText = new Map(certificates.map((der) => [Buffer.from(der).toString("base64"), der]));
  return [...byText.values()];
}

/** An exact repeat is dropped; one `kid` for two keys is refused, for the token that names it would fit either. */
function withDistinctKeyIds(authorities: readonly JwtAuthority[]): readonly JwtAuthority[] {
  const byKeyId = new Map<string, JwtAuthority>();
  for (const authority of authorities) {
    const known = byKeyId.get(authority.keyId);
    if (known !== undefined && canonicalText(known) !== canonicalText(authority)) {
      throw new BundleError(
        "BUNDLE_DUPLICATE_KEY_ID",
        `kid: ${JSON.stringify(authority.keyId)} names two keys; rename one`,
      );
    }
    byKeyId.set(authority.keyId, authority);
  }
  return [...byKeyId.values()];
}

/**
 * JSVID-14: a key stands for one kind of SVID; and no entry stands there twice. Two certificates with one key are fine:
 * a root of another domain that was renewed with its old key.
 */
function refuseSharedKeys(x509: readonly RawJwk[], jwt: readonly RawJwk[]): void {
  const x509Keys = new Set(x509.map(keyText));
  const isShared = jwt.some((jwk) => x509Keys.has(keyText(jwk)));
  const entries = [...x509, ...jwt].map((jwk) => JSON.stringify(jwk));
  if (isShared || new Set(entries).size < entries.length) {
    throw new BundleError(
      "BUNDLE_DUPLICATE_AUTHORITY",
      "keys: an entry stands there twice, or a key for two kinds of SVID; give each authority its own",
    );
  }
}

function badSequence(): BundleError {
  return new BundleError(
    "BUNDLE_SEQUENCE",
    "spiffe_sequence: is no whole number below 2^64; publish one",
  );
}

function isObject(value: unknown): value is RawJwk {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
