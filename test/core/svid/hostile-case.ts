import type { Bundle } from "../../../src/core/bundle/bundle.ts";
import type { SvidErrorCode } from "../../../src/core/svid/errors.ts";
import { contextTag, tag } from "../../../src/core/x509/der-tag.ts";
import { element, sequence, unsignedInteger } from "../../../src/core/x509/der-writer.ts";
import { oid } from "../../../src/core/x509/oid.ts";
import {
  extension,
  makeAuthority,
  makeBundle,
  makeLeaf,
  type SvidBend,
  type WorldAuthority,
} from "../../support/ca-world.ts";

/** One chain and what a verifier has to say about it at noon of the CA world. */
export interface HostileCase {
  readonly rule: string;
  readonly name: string;
  readonly chain: readonly Uint8Array[];
  readonly expect: SvidErrorCode | "ok";
  /** Authorities of example.org beside those of the world. */
  readonly bundle?: Bundle;
}

/** The only authority of example.org that verifiers trust. */
export const root: WorldAuthority = makeAuthority();
export const foreignRoot: WorldAuthority = makeAuthority({ trustDomain: "other.org" });
/** Issued by the root. */
export const middle: WorldAuthority = makeAuthority({ parent: root });

/** The bundles that every case without its own is judged by. */
export const worldBundles: readonly Bundle[] = [
  makeBundle("example.org", [root]),
  makeBundle("other.org", [foreignRoot]),
  makeBundle("empty.org", []),
];

/** A leaf of the root, bent. */
export function leaf(bend: SvidBend): readonly Uint8Array[] {
  return [makeLeaf(root, bend)];
}

/** A leaf below an intermediate that was bent. */
export function below(bent: WorldAuthority, bend: SvidBend = {}): readonly Uint8Array[] {
  return [makeLeaf(bent, bend), bent.der];
}

/** A leaf of a root that stands in its own bundle. */
export function ofRoot(
  own: WorldAuthority,
  bend: SvidBend = {},
): Pick<HostileCase, "chain" | "bundle"> {
  return { chain: [makeLeaf(own, bend)], bundle: makeBundle("example.org", [own]) };
}

/** A nameConstraints extension with URI or DNS bases. */
function constraints(list: 0 | 1, nameTag: number, base: string): Uint8Array {
  const subtree = sequence(element(nameTag, Buffer.from(base)));
  return extension(oid.nameConstraints, true, sequence(element(contextTag(list), subtree)));
}

/** An authority with critical name constraints: list 0 permits, list 1 excludes. */
export function constrained(list: 0 | 1, nameTag: number, base: string): WorldAuthority {
  return makeAuthority({ add: [constraints(list, nameTag, base)] });
}

/** What no verifier knows and none may pass over. */
export const unknownCritical: Uint8Array = extension("1.2.3.4", true, sequence());

/** A root with a pathLenConstraint. */
export function withPathLength(length: number): WorldAuthority {
  const value = sequence(
    element(tag.boolean, Uint8Array.of(0xff)),
    unsignedInteger(Uint8Array.of(length)),
  );
  return makeAuthority({
    replace: { [oid.basicConstraints]: extension(oid.basicConstraints, true, value) },
  });
}
