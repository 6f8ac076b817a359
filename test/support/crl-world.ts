import { sign } from "node:crypto";
import { type Crl, parseCrl } from "../../src/core/x509/crl-reader.ts";
import { contextTag, tag } from "../../src/core/x509/der-tag.ts";
import {
  bitString,
  element,
  octetString,
  sequence,
  time,
  unsignedInteger,
} from "../../src/core/x509/der-writer.ts";
import { authorityKeyIdentifier } from "../../src/core/x509/extension-writer.ts";
import { oid } from "../../src/core/x509/oid.ts";
import { keyIdOf } from "../../src/core/x509/public-key.ts";
import { extension, hour, noon, type WorldAuthority, type WorldKey } from "./ca-world.ts";

/** One entry of a CRL as a test wants it. */
interface WorldRevocation {
  /** Hex. */
  readonly serial: string;
  readonly at?: number;
  readonly reason?: number;
  readonly extensions?: readonly Uint8Array[];
}

/** Every part of a CRL that can be bent. Missing ones make a good one. */
export interface CrlBend {
  readonly revoked?: readonly WorldRevocation[];
  readonly number?: bigint;
  readonly thisUpdate?: number;
  /** null leaves it out. */
  readonly nextUpdate?: number | null;
  /** As encoded: 1 is v2; null leaves it out, which is v1. */
  readonly version?: number | null;
  readonly issuer?: Uint8Array;
  /** Signs in place of the authority. */
  readonly key?: WorldKey;
  /** Writes `[0] {}` around nothing, or no extensions at all. */
  readonly extensions?: readonly Uint8Array[] | null;
  readonly add?: readonly Uint8Array[];
  /** Writes a list of revoked certificates even if it is empty. */
  readonly emptyList?: boolean;
  readonly outerAlgorithm?: Uint8Array;
  readonly withSignature?: (signature: Uint8Array) => Uint8Array;
}

/** A CRL's DER, by `authority`; bent as told. */
export function makeCrl(authority: WorldAuthority, bend: CrlBend = {}): Uint8Array {
  const key = bend.key ?? authority.key;
  const list = toBeSigned(authority, { ...bend, key });
  const signature = new Uint8Array(sign(key.digest, list, key.privateKey));
  const bent = bend.withSignature?.(signature) ?? signature;
  return sequence(list, bend.outerAlgorithm ?? key.algorithm, bitString(bent));
}

function toBeSigned(
  authority: WorldAuthority,
  bend: CrlBend & { readonly key: WorldKey },
): Uint8Array {
  const revoked = (bend.revoked ?? []).map(entry);
  const nextUpdate = bend.nextUpdate === undefined ? noon + 24 * hour : bend.nextUpdate;
  const hasList = revoked.length > 0 || bend.emptyList === true;
  return sequence(
    ...versionOf(bend.version),
    bend.key.algorithm,
    bend.issuer ?? authority.certificate.subject,
    time(bend.thisUpdate ?? noon - hour),
    ...(nextUpdate === null ? [] : [time(nextUpdate)]),
    ...(hasList ? [sequence(...revoked)] : []),
    ...extensionsOf(bend.extensions === undefined ? profile(authority, bend) : bend.extensions),
  );
}

function versionOf(version: number | null = 1): readonly Uint8Array[] {
  return version === null ? [] : [unsignedInteger(Uint8Array.of(version))];
}

function extensionsOf(extensions: readonly Uint8Array[] | null): readonly Uint8Array[] {
  return extensions === null ? [] : [element(contextTag(0), sequence(...extensions))];
}

/** As {@link makeCrl}, read. */
export function readCrl(authority: WorldAuthority, bend: CrlBend = {}): Crl {
  return parseCrl(makeCrl(authority, bend));
}

/** The extensions that every good CRL has. */
export function profile(
  authority: WorldAuthority,
  bend: Pick<CrlBend, "number" | "add"> = {},
): readonly Uint8Array[] {
  return [
    authorityKeyIdentifier(keyIdOf(authority.key.spki)),
    crlNumber(bend.number ?? 1n),
    ...(bend.add ?? []),
  ];
}

/** cRLNumber, as wide as it is told. */
export function crlNumber(number: bigint): Uint8Array {
  const hex = number.toString(16);
  const bytes = Buffer.from(hex.padStart(hex.length + (hex.length % 2), "0"), "hex");
  return extension(oid.crlNumber, false, unsignedInteger(bytes));
}

/** reasonCode of an entry. */
function reasonCode(reason: number): Uint8Array {
  return extension(oid.crlReason, false, element(tag.enumerated, Uint8Array.of(reason)));
}

/** Any extension whose value says nothing. */
export function strangeExtension(id: string, critical: boolean): Uint8Array {
  return extension(id, critical, octetString(Uint8Array.of(1)));
}

function entry(one: WorldRevocation): Uint8Array {
  const extensions = [
    ...(one.reason === undefined ? [] : [reasonCode(one.reason)]),
    ...(one.extensions ?? []),
  ];
  return sequence(
    unsignedInteger(Buffer.from(one.serial, "hex")),
    time(one.at ?? noon - hour),
    ...(extensions.length === 0 ? [] : [sequence(...extensions)]),
  );
}
