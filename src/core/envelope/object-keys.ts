import { createHash } from "node:crypto";
import type { SpiffeId, TrustDomain } from "../spiffe/spiffe-id.ts";

/** Under which key each state object lies (docs/protocol.md, State). */

/** The object keys that do not depend on anything. */
export const controlKey = "control.current";
export const groupIndexKey = "group.index";
export const rotationKey = "rotation.current";
export const termKey = "term.current";
export const revokedKey = "revoked.current";

/**
 * A name that is safe as one token of a NATS subject or KV key, whatever the SPIFFE ID: the first 26 characters of the lower-case base32 of
 * its SHA-256 (ND-06).
 */
export function token26(text: string): string {
  return base32(createHash("sha256").update(text, "utf8").digest()).slice(0, 26);
}

/** A trust domain's name as one token: of its SPIFFE ID. */
export function trustDomainToken(trustDomain: string): string {
  return token26(`spiffe://${trustDomain}`);
}

/** Own and federated domains each have one. */
export function bundleKey(trustDomain: TrustDomain): string {
  return `bundle.${trustDomainToken(trustDomain)}`;
}

export function revocationsKey(trustDomain: TrustDomain): string {
  return `rev.${trustDomainToken(trustDomain)}`;
}

/** What one node reads for itself alone. */
export function manifestKey(node: SpiffeId): string {
  return `node.${token26(node)}`;
}

/** Is it what one node reads for itself alone? */
export function isManifestKey(key: string): boolean {
  return key.startsWith("node.");
}

/** A page of the group index is named by its content, so that old and new pages lie beside each other. */
export function groupPageKey(sha256: Uint8Array): string {
  return `group.${base32(sha256).slice(0, 26)}`;
}

/** Pages are no envelopes: the index vouches for them by hash. */
export function isGroupPageKey(key: string): boolean {
  return key.startsWith("group.") && key !== groupIndexKey;
}

/** A declared set of entries. */
export function entrySetKey(set: string): string {
  return `set.${token26(set)}`;
}

/** A page of a declared set; numbers are taken anew once no set names them. */
export function entryPageKey(set: string, place: number): string {
  return `page.${token26(set)}-${place}`;
}

const alphabet = "abcdefghijklmnopqrstuvwxyz234567";

/** RFC 4648 base32, lower case, unpadded. */
export function base32(bytes: Uint8Array): string {
  let written = "";
  let buffer = 0;
  let bits = 0;
  for (const byte of bytes) {
    buffer = (buffer << 8) | byte;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      written += alphabet.charAt((buffer >>> bits) & 31);
    }
    buffer &= (1 << bits) - 1;
  }
  return bits === 0 ? written : written + alphabet.charAt((buffer << (5 - bits)) & 31);
}
