import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { contextTag } from "../../src/core/x509/der-tag.ts";
import { derTrue, element, sequence, unsignedInteger } from "../../src/core/x509/der-writer.ts";
import { generalName } from "../../src/core/x509/general-names.ts";
import { oid } from "../../src/core/x509/oid.ts";
import { certificatesToPem } from "../../src/core/x509/pem.ts";
import {
  type AuthorityBend,
  extension,
  hour,
  makeAuthority,
  noon,
  type WorldAuthority,
} from "./ca-world.ts";

/** Operators' CAs, as other systems' tools make them, and the files that they lie in. */

/** basicConstraints of a CA with a path length. */
export function pathLength(length: number): Record<string, Uint8Array> {
  const value = sequence(derTrue, unsignedInteger(Uint8Array.of(length)));
  return { [oid.basicConstraints]: extension(oid.basicConstraints, true, value) };
}

/** nameConstraints that permit one host of URIs. */
export function permittedHost(host: string): Record<string, Uint8Array> {
  return permitted(generalName.uri, host);
}

/** nameConstraints that permit DNS names below one. */
export function permittedDns(base: string): Record<string, Uint8Array> {
  return permitted(generalName.dns, base);
}

function permitted(kind: number, base: string): Record<string, Uint8Array> {
  const subtree = sequence(element(kind, Buffer.from(base)));
  const value = sequence(element(contextTag(0), subtree));
  return { [oid.nameConstraints]: extension(oid.nameConstraints, true, value) };
}

const year = 365 * 24 * hour;

/** A CA that lives for a year around noon. */
export function operatorsCa(bend: AuthorityBend = {}): WorldAuthority {
  return makeAuthority({ uris: [], notBefore: noon - year, notAfter: noon + year, ...bend });
}

/** A root and an intermediate below it that leaves room for authorities. */
export function operatorsPki(bend: AuthorityBend = {}): {
  readonly root: WorldAuthority;
  readonly intermediate: WorldAuthority;
} {
  const root = operatorsCa();
  return { root, intermediate: operatorsCa({ parent: root, replace: pathLength(1), ...bend }) };
}

/** What lies in a folder, by file name. */
export type Files = Readonly<Record<string, string>>;

export function keyPem(authority: WorldAuthority): string {
  return authority.key.privateKey.export({ format: "pem", type: "pkcs8" }) as string;
}

export function pemOf(...authorities: readonly WorldAuthority[]): string {
  return certificatesToPem(authorities.map(({ der }) => der));
}

/** Istio's `cacerts`. */
export function istioFiles(ca: WorldAuthority, ...roots: readonly WorldAuthority[]): Files {
  return {
    "ca-cert.pem": pemOf(ca),
    "ca-key.pem": keyPem(ca),
    "root-cert.pem": pemOf(...roots),
    "cert-chain.pem": pemOf(ca, ...roots),
  };
}

/** A mounted secret of type kubernetes.io/tls. */
export function tlsSecretFiles(ca: WorldAuthority, ...roots: readonly WorldAuthority[]): Files {
  return { "tls.crt": pemOf(ca), "tls.key": keyPem(ca), "ca.crt": pemOf(...roots) };
}

/** Linkerd's own issuer secret, its trust anchors beside it. */
export function linkerdFiles(ca: WorldAuthority, ...roots: readonly WorldAuthority[]): Files {
  return { "crt.pem": pemOf(ca), "key.pem": keyPem(ca), "ca-bundle.crt": pemOf(...roots) };
}

/** Writes them one after the other, as `cp` does. */
export function writeFiles(folder: string, files: Files): void {
  mkdirSync(folder, { recursive: true });
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
}
