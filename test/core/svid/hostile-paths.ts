import { implicitTag } from "../../../src/core/x509/der-tag.ts";
import { element, sequence } from "../../../src/core/x509/der-writer.ts";
import { basicConstraints, keyUsage } from "../../../src/core/x509/extension-writer.ts";
import { generalName } from "../../../src/core/x509/general-names.ts";
import { oid } from "../../../src/core/x509/oid.ts";
import {
  commonName,
  extension,
  hour,
  makeAuthority,
  makeBundle,
  makeKey,
  makeLeaf,
  noon,
  type WorldAuthority,
} from "../../support/ca-world.ts";

import {
  below,
  constrained,
  foreignRoot,
  type HostileCase,
  leaf,
  middle,
  ofRoot,
  root,
  unknownCritical,
  withPathLength,
} from "./hostile-case.ts";

const impostor = makeAuthority({ subject: root.certificate.subject });
const fakeAuthority: WorldAuthority = { ...root, key: makeKey() };
const plainKey = makeKey();
const plainLeaf = makeLeaf(root, { key: plainKey, subject: commonName("web") });

export const wrongPaths: readonly HostileCase[] = [
  {
    rule: "XSVID-17",
    name: "an altered signature",
    chain: leaf({ withSignature: flipped }),
    expect: "SVID_SIGNATURE",
  },
  {
    rule: "XSVID-17",
    name: "an empty signature",
    chain: leaf({ withSignature: () => new Uint8Array() }),
    expect: "SVID_SIGNATURE",
  },
  {
    rule: "XSVID-17",
    name: "signed by another key under the root's name and key identifier",
    chain: forged(),
    expect: "SVID_SIGNATURE",
  },
  {
    rule: "XSVID-17",
    name: "an unknown authority with the root's name",
    chain: [makeLeaf(impostor), impostor.der],
    expect: "SVID_UNTRUSTED",
  },
  {
    rule: "XSVID-17",
    name: "an unknown authority that is sent along",
    chain: below(makeAuthority()),
    expect: "SVID_UNTRUSTED",
  },
  {
    rule: "XSVID-17",
    name: "no intermediate",
    chain: [makeLeaf(middle)],
    expect: "SVID_UNTRUSTED",
  },
  {
    rule: "XSVID-17",
    name: "signed with SHA-1",
    ...ofRoot(makeAuthority({ kind: "p256-sha1" })),
    expect: "SVID_SIGNATURE",
  },
  {
    rule: "XSVID-17",
    name: "an RSA root of 1024 bits",
    ...ofRoot(makeAuthority({ kind: "rsa1024" })),
    expect: "SVID_SIGNATURE",
  },
  {
    rule: "XSVID-17",
    name: "issued by a workload",
    chain: [makeLeaf({ ...root, key: plainKey }, { issuer: commonName("web") }), plainLeaf],
    expect: "SVID_AUTHORITY_PROFILE",
  },
  {
    rule: "XSVID-17",
    name: "an intermediate with cA false",
    chain: below(
      makeAuthority({ parent: root, replace: { [oid.basicConstraints]: basicConstraints(false) } }),
    ),
    expect: "SVID_AUTHORITY_PROFILE",
  },
  {
    rule: "XSVID-17",
    name: "an intermediate without keyCertSign",
    chain: below(makeAuthority({ parent: root, replace: { [oid.keyUsage]: keyUsage("cRLSign") } })),
    expect: "SVID_AUTHORITY_PROFILE",
  },
  {
    rule: "XSVID-17",
    name: "an expired intermediate",
    chain: below(makeAuthority({ parent: root, notAfter: noon - 1000 })),
    expect: "SVID_AUTHORITY_DATES",
  },
  {
    rule: "XSVID-17",
    name: "an intermediate of tomorrow",
    chain: below(makeAuthority({ parent: root, notBefore: noon + hour })),
    expect: "SVID_AUTHORITY_DATES",
  },
  {
    rule: "XSVID-17",
    name: "an expired root",
    ...ofRoot(makeAuthority({ notAfter: noon - 1000 })),
    expect: "SVID_AUTHORITY_DATES",
  },
  {
    rule: "XSVID-17",
    name: "an intermediate with an unknown critical extension",
    chain: below(makeAuthority({ parent: root, add: [unknownCritical] })),
    expect: "SVID_CRITICAL_EXTENSION",
  },
  {
    rule: "XSVID-17",
    name: "pathLen 0 above an intermediate",
    ...throughPathLength(0),
    expect: "SVID_PATH_LENGTH",
  },
  {
    rule: "XSVID-17",
    name: "a URI that is not permitted",
    ...ofRoot(constrained(0, generalName.uri, ".example.org")),
    expect: "SVID_NAME_CONSTRAINT",
  },
  {
    rule: "XSVID-17",
    name: "an excluded URI",
    ...ofRoot(constrained(1, generalName.uri, "example.org")),
    expect: "SVID_NAME_CONSTRAINT",
  },
  {
    rule: "XSVID-17",
    name: "an excluded DNS name",
    ...ofRoot(constrained(1, generalName.dns, "corp.example"), { dnsNames: ["a.CORP.example"] }),
    expect: "SVID_NAME_CONSTRAINT",
  },
  {
    rule: "XSVID-17",
    name: "a DNS name that is not permitted",
    ...ofRoot(constrained(0, generalName.dns, "corp.example"), { dnsNames: ["acorp.example"] }),
    expect: "SVID_NAME_CONSTRAINT",
  },
  {
    rule: "XSVID-15",
    name: "an intermediate with a path in its SPIFFE ID",
    chain: below(makeAuthority({ parent: root, uris: ["spiffe://example.org/ca"] })),
    expect: "SVID_AUTHORITY_ID",
  },
  {
    rule: "XSVID-18",
    name: "this domain's name under another domain's root",
    chain: [makeLeaf(foreignRoot)],
    expect: "SVID_UNTRUSTED",
  },
  {
    rule: "XSVID-18",
    name: "another domain's name under this domain's root",
    chain: leaf({ id: "spiffe://other.org/web" }),
    expect: "SVID_UNTRUSTED",
  },
  {
    rule: "XSVID-18",
    name: "a domain without a bundle",
    chain: leaf({ id: "spiffe://unknown.org/web" }),
    expect: "SVID_BUNDLE_MISSING",
  },
  {
    rule: "BDL-09",
    name: "a domain whose bundle is empty",
    chain: leaf({ id: "spiffe://empty.org/web" }),
    expect: "SVID_BUNDLE_EMPTY",
  },
  { rule: "XSVID-17", name: "no certificate", chain: [], expect: "SVID_CHAIN_LENGTH" },
  {
    rule: "XSVID-17",
    name: "nine certificates",
    chain: [makeLeaf(root), ...Array<Uint8Array>(8).fill(middle.der)],
    expect: "SVID_CHAIN_LENGTH",
  },
];

function throughPathLength(length: number): Pick<HostileCase, "chain" | "bundle"> {
  const short = withPathLength(length);
  return {
    chain: below(makeAuthority({ parent: short })),
    bundle: makeBundle("example.org", [short]),
  };
}

function flipped(signature: Uint8Array): Uint8Array {
  return signature.map((byte, index) => (index === signature.length - 1 ? byte ^ 1 : byte));
}

/** Says that the root issued it, key identifier included, but another key signed. */
function forged(): readonly Uint8Array[] {
  const honest = extension(
    oid.authorityKeyIdentifier,
    false,
    sequence(element(implicitTag(0), Buffer.from(root.certificate.subjectKeyId ?? "", "hex"))),
  );
  return [makeLeaf(fakeAuthority, { replace: { [oid.authorityKeyIdentifier]: honest } })];
}
