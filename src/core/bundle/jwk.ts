import { createPublicKey } from "node:crypto";
import { parseCertificate } from "../x509/certificate.ts";
import type { JwtAuthority } from "./bundle.ts";
import { BundleError } from "./errors.ts";

/** A JWK as found: nothing about its members is known yet. */
export type RawJwk = Readonly<Record<string, unknown>>;

/** Which public members each key type has (RFC 7518 6.2.1, 6.3.1); private ones are never copied. */
const publicMembers: ReadonlyMap<string, readonly string[]> = new Map([
  ["EC", ["crv", "x", "y"]],
  ["RSA", ["n", "e"]],
]);

/** Every key type that a bundle's certificates may have; entries of other types are passed over (BDL-08). */
const certificateKeyTypes: ReadonlySet<unknown> = new Set(["EC", "RSA", "OKP"]);

/**
 * The certificate of a `use: x509-svid` entry: the first of `x5c`, the rest ignored (XSVID-22). Undefined for an entry
 * that has none, or one that cannot be read: RFC 7517 5 has consumers pass over what they cannot use.
 */
export function certificateOf(jwk: RawJwk): Uint8Array | undefined {
  const x5c = jwk["x5c"];
  if (!certificateKeyTypes.has(jwk["kty"]) || !Array.isArray(x5c)) return undefined;
  const first: unknown = x5c[0];
  if (typeof first !== "string") return undefined;
  const der = Buffer.from(first, "base64");
  // base64, not base64url (RFC 7517 4.7); Buffer takes both, so the way back is compared.
  if (der.toString("base64") !== first) return undefined;
  try {
    // A key that Node cannot even import verifies nothing here, and could not be published again.
    publicJwkOf(der);
    return new Uint8Array(der);
  } catch {
    return undefined;
  }
}

/** The key of a `use: jwt-svid` entry; undefined without `kid`, of another type than EC and RSA, or without a member. */
export function jwtAuthorityOf(jwk: RawJwk): JwtAuthority | undefined {
  const { kid, kty, alg } = { kid: jwk["kid"], kty: jwk["kty"], alg: jwk["alg"] };
  if (typeof kid !== "string" || kid === "" || typeof kty !== "string") return undefined;
  const members = publicMembers.get(kty);
  if (members === undefined) return undefined;
  const publicJwk: Record<string, string> = { kty };
  for (const member of members) {
    const value = jwk[member];
    if (typeof value !== "string") return undefined;
    publicJwk[member] = value;
  }
  // Not in the SPIFFE documents but in RFC 7517 4.4: it narrows what the key may verify (JSVID-12), so it is kept.
  if (typeof alg === "string") publicJwk["alg"] = alg;
  return { keyId: kid, publicJwk };
}

/**
 * The entry of an X.509 authority: its key, `use`, one `x5c` value, no `kid` and nothing more (XSVID-21, BDL-10).
 * @throws {BundleError} BUNDLE_AUTHORITY
 */
export function x509Entry(der: Uint8Array): RawJwk {
  const x5c = [Buffer.from(der).toString("base64")];
  return { ...inOrder(publicJwkOf(der)), use: "x509-svid", x5c };
}

/** The entry of a JWT authority (JSVID-13). */
export function jwtEntry(authority: JwtAuthority): RawJwk {
  return { ...inOrder(authority.publicJwk), use: "jwt-svid", kid: authority.keyId };
}

/** What makes two JWKs the same key, as text. */
export function keyText(jwk: RawJwk): string {
  return JSON.stringify({ ...inOrder(jwk), alg: undefined });
}

/** The public members that are there, in one order, whichever Node or publisher they come from. */
function inOrder(jwk: RawJwk): RawJwk {
  const members = ["kty", "crv", "x", "y", "n", "e", "alg"];
  return Object.fromEntries(
    members.filter((name) => jwk[name] !== undefined).map((name) => [name, jwk[name]]),
  );
}

function publicJwkOf(der: Uint8Array): RawJwk {
  try {
    const { spki } = parseCertificate(der);
    return {
      ...createPublicKey({ key: Buffer.from(spki), format: "der", type: "spki" }).export({
        format: "jwk",
      }),
    };
  } catch (error) {
    throw new BundleError(
      "BUNDLE_AUTHORITY",
      "x509Authorities: one is no certificate; remove it before publishing",
      {
        cause: error,
      },
    );
  }
}
