import { element, sequence } from "../../../src/core/x509/der-writer.ts";
import { generalName } from "../../../src/core/x509/general-names.ts";
import { oid } from "../../../src/core/x509/oid.ts";
import {
  commonName,
  extension,
  makeAuthority,
  makeLeaf,
  makeSvid,
  noon,
} from "../../support/ca-world.ts";

import {
  constrained,
  type HostileCase,
  leaf,
  middle,
  ofRoot,
  root,
  withPathLength,
} from "./hostile-case.ts";
import { malformed, wrongLeaves } from "./hostile-leaves.ts";
import { wrongPaths } from "./hostile-paths.ts";

const good: Omit<HostileCase, "rule" | "name" | "chain"> = { expect: "ok" };

const allowed: readonly HostileCase[] = [
  { rule: "XSVID-01", name: "a plain leaf", chain: leaf({}), ...good },
  {
    rule: "XSVID-03",
    name: "DNS names",
    chain: leaf({ dnsNames: ["a.example", "b.example"] }),
    ...good,
  },
  {
    rule: "XSVID-03",
    name: "email and IP names",
    chain: leaf({
      replace: {
        [oid.subjectAltName]: extension(
          oid.subjectAltName,
          true,
          sequence(
            element(generalName.email, Buffer.from("a@b.example")),
            element(generalName.uri, Buffer.from("spiffe://example.org/web")),
            element(generalName.ip, Uint8Array.of(10, 0, 0, 1)),
          ),
        ),
      },
    }),
    ...good,
  },
  { rule: "XSVID-05", name: "a subject", chain: leaf({ subject: commonName("web") }), ...good },
  {
    rule: "XSVID-06",
    name: "no basicConstraints",
    chain: leaf({ replace: { [oid.basicConstraints]: undefined } }),
    ...good,
  },
  { rule: "XSVID-17", name: "an intermediate", chain: makeSvid([root, middle]).chain, ...good },
  {
    rule: "XSVID-17",
    name: "intermediates in any order",
    chain: unordered(),
    ...good,
  },
  { rule: "XSVID-17", name: "in its last second", chain: leaf({ notAfter: noon }), ...good },
  { rule: "XSVID-17", name: "a P-384 root", ...ofRoot(makeAuthority({ kind: "p384" })), ...good },
  { rule: "XSVID-17", name: "an RSA root", ...ofRoot(makeAuthority({ kind: "rsa2048" })), ...good },
  {
    rule: "XSVID-17",
    name: "an Ed25519 root",
    ...ofRoot(makeAuthority({ kind: "ed25519" })),
    ...good,
  },
  { rule: "XSVID-17", name: "pathLen 0 above the leaf", ...ofRoot(withPathLength(0)), ...good },
  {
    rule: "XSVID-20",
    name: "a permitted URI",
    ...ofRoot(constrained(0, generalName.uri, "example.org")),
    ...good,
  },
  {
    rule: "XSVID-20",
    name: "another URI excluded",
    ...ofRoot(constrained(1, generalName.uri, "other.org")),
    ...good,
  },
  {
    rule: "XSVID-25",
    name: "no extended key usage",
    chain: leaf({ replace: { [oid.extendedKeyUsage]: undefined } }),
    ...good,
  },
  {
    rule: "AMB-2",
    name: "a root with spiffe://example.org/",
    ...ofRoot(makeAuthority({ uris: ["spiffe://example.org/"] })),
    ...good,
  },
];

/** Every case of the world. */
export const hostileCases: readonly HostileCase[] = [
  ...allowed,
  ...wrongLeaves,
  ...wrongPaths,
  ...malformed,
];

function unordered(): readonly Uint8Array[] {
  const lower = makeAuthority({ parent: middle });
  return [makeLeaf(lower), middle.der, lower.der];
}
