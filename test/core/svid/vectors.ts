import { readFileSync, writeFileSync } from "node:fs";
import type { Bundle } from "../../../src/core/bundle/bundle.ts";
import { makeBundle, noon } from "../../support/ca-world.ts";
import { worldBundles } from "./hostile-case.ts";
import { hostileCases } from "./hostile-world.ts";

/** test/vectors/x509-svid.json: for verifiers other than ours too. */
interface Vectors {
  readonly about: string;
  readonly spec: string;
  readonly now: number;
  readonly bundles: Readonly<Record<string, readonly string[]>>;
  readonly cases: readonly {
    readonly rule: string;
    readonly name: string;
    readonly expect: string;
    readonly chain: readonly string[];
    readonly bundle?: readonly string[];
  }[];
}

const file = new URL("../../vectors/x509-svid.json", import.meta.url);

/** The committed vectors. */
export function readVectors(): Vectors {
  return JSON.parse(readFileSync(file, "utf8")) as Vectors;
}

/** Writes them anew from the hostile world, with new keys. */
export function writeVectors(): void {
  const vectors: Vectors = {
    about:
      "X.509-SVID chains, DER in base64, leaf first. A verifier that holds `bundles` (or the case's own `bundle` for example.org) at `now` (milliseconds since the epoch) accepts the chain (`expect`: \"ok\") or refuses it. Codes are Herald's; that it is refused is the specification's.",
    spec: "https://github.com/spiffe/spiffe/blob/main/standards/X509-SVID.md#5-validation",
    now: noon,
    bundles: Object.fromEntries(
      worldBundles.map((bundle) => [bundle.trustDomain, toBase64(bundle.x509Authorities)]),
    ),
    cases: hostileCases.map(({ rule, name, expect, chain, bundle }) => ({
      rule,
      name,
      expect,
      chain: toBase64(chain),
      ...(bundle === undefined ? {} : { bundle: toBase64(bundle.x509Authorities) }),
    })),
  };
  writeFileSync(file, `${JSON.stringify(vectors, null, 1)}\n`);
}

/** A vector's bundle as verifiers take it. */
export function bundleOf(trustDomain: string, authorities: readonly string[]): Bundle {
  return { ...makeBundle(trustDomain, []), x509Authorities: fromBase64(authorities) };
}

/** A vector's chain. */
export function fromBase64(certificates: readonly string[]): readonly Uint8Array[] {
  return certificates.map((text) => Buffer.from(text, "base64"));
}

function toBase64(certificates: readonly Uint8Array[]): readonly string[] {
  return certificates.map((der) => Buffer.from(der).toString("base64"));
}
