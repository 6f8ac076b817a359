import { createPrivateKey, type KeyObject } from "node:crypto";
import { EnvelopeError } from "./error.ts";

/** What an operator hands to a new node: `herald1.<token id>.<seed>.<pin>`. The seed never travels; it makes a signing key. */
export interface JoinString {
  readonly token: string;
  /** 32 bytes. */
  readonly seed: Uint8Array;
  /** Key id of the control root. */
  readonly pin: string;
}

export function formatJoinString(join: JoinString): string {
  return ["herald1", join.token, Buffer.from(join.seed).toString("base64url"), join.pin].join(".");
}

/** @throws EnvelopeError JOIN_STRING; the message never repeats the seed. */
export function parseJoinString(written: string): JoinString {
  const [scheme, token, seed, pin, ...rest] = written.trim().split(".");
  if (
    scheme !== "herald1" ||
    token === undefined ||
    seed === undefined ||
    pin === undefined ||
    rest.length > 0
  ) {
    throw malformed("it has the form herald1.<token>.<seed>.<pin>");
  }
  if (!/^[a-z0-9-]{1,64}$/.test(token)) throw malformed("its token id is not one");
  if (!/^[0-9a-f]{64}$/.test(pin)) throw malformed("its pin is not a SHA-256 in hex");
  const bytes = Buffer.from(seed, "base64url");
  if (bytes.byteLength !== 32 || bytes.toString("base64url") !== seed)
    throw malformed("its seed is not 32 bytes");
  return { token, seed: bytes, pin };
}

/** The Ed25519 key that a 32-byte seed makes (RFC 8032), through its PKCS#8 form (RFC 8410). */
export function keyOfSeed(seed: Uint8Array): KeyObject {
  const pkcs8 = Buffer.concat([Buffer.from("302e020100300506032b657004220420", "hex"), seed]);
  return createPrivateKey({ key: pkcs8, format: "der", type: "pkcs8" });
}

function malformed(why: string): EnvelopeError {
  return new EnvelopeError(
    "JOIN_STRING",
    `join string is malformed: ${why}; make a new one with \`herald node token\``,
  );
}
