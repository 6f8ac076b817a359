// Writes x509-svid.json anew from test/core/svid/hostile-world.ts; run it by hand when a case is added:
//   ./node_modules/node/bin/node test/vectors/write-x509-svid.ts
import { writeFileSync } from "node:fs";
import type { Bundle } from "../../src/core/bundle/bundle.ts";
import { worldBundles } from "../core/svid/hostile-case.ts";
import { hostileCases } from "../core/svid/hostile-world.ts";
import { noon } from "../support/ca-world.ts";

function base64(certificates: readonly Uint8Array[]): readonly string[] {
  return certificates.map((der) => Buffer.from(der).toString("base64"));
}

function authoritiesOf(bundles: readonly Bundle[]): Record<string, readonly string[]> {
  return Object.fromEntries(
    bundles.map((bundle) => [bundle.trustDomain, base64(bundle.x509Authorities)]),
  );
}

const vectors = {
  about:
    "X.509-SVID chains, DER in base64, leaf first. A verifier that holds `bundles` (or the case's own `bundle` for example.org) at `now` (milliseconds since the epoch) accepts the chain (`expect`: \"ok\") or refuses it. Codes are Herald's; that it is refused is the specification's.",
  spec: "https://github.com/spiffe/spiffe/blob/main/standards/X509-SVID.md#5-validation",
  now: noon,
  bundles: authoritiesOf(worldBundles),
  cases: hostileCases.map(({ rule, name, expect, chain, bundle }) => ({
    rule,
    name,
    expect,
    chain: base64(chain),
    ...(bundle === undefined ? {} : { bundle: base64(bundle.x509Authorities) }),
  })),
};

writeFileSync(new URL("x509-svid.json", import.meta.url), `${JSON.stringify(vectors, null, 1)}\n`);
