import { implicitTag, tag } from "../../../src/core/x509/der-tag.ts";
import { element, objectIdentifier, sequence } from "../../../src/core/x509/der-writer.ts";
import {
  basicConstraints,
  extendedKeyUsage,
  keyUsage,
  subjectAltName,
} from "../../../src/core/x509/extension-writer.ts";
import { generalName } from "../../../src/core/x509/general-names.ts";
import { oid } from "../../../src/core/x509/oid.ts";
import { extension, makeAuthority, makeLeaf, noon } from "../../support/ca-world.ts";

import { type HostileCase, leaf, root, unknownCritical } from "./hostile-case.ts";
export const wrongLeaves: readonly HostileCase[] = [
  {
    rule: "XSVID-02",
    name: "two URI names",
    chain: leaf({ uris: ["spiffe://example.org/a", "spiffe://example.org/b"] }),
    expect: "SVID_URI_COUNT",
  },
  {
    rule: "XSVID-02",
    name: "the same URI name twice",
    chain: leaf({ uris: ["spiffe://example.org/a", "spiffe://example.org/a"] }),
    expect: "SVID_URI_COUNT",
  },
  {
    rule: "XSVID-02",
    name: "a second URI of another scheme",
    chain: leaf({ uris: ["spiffe://example.org/a", "https://example.org/"] }),
    expect: "SVID_URI_COUNT",
  },
  {
    rule: "XSVID-02",
    name: "no URI name",
    chain: leaf({ uris: [], dnsNames: ["web"] }),
    expect: "SVID_URI_COUNT",
  },
  {
    rule: "XSVID-02",
    name: "no alternative name at all",
    chain: leaf({ replace: { [oid.subjectAltName]: undefined } }),
    expect: "SVID_URI_COUNT",
  },
  {
    rule: "XSVID-04",
    name: "no path",
    chain: leaf({ uris: ["spiffe://example.org"] }),
    expect: "SVID_NO_PATH",
  },
  {
    rule: "XSVID-04",
    name: "the root path",
    chain: leaf({ uris: ["spiffe://example.org/"] }),
    expect: "SVID_ID",
  },
  {
    rule: "XSVID-19",
    name: "another scheme",
    chain: leaf({ uris: ["https://example.org/web"] }),
    expect: "SVID_ID",
  },
  {
    rule: "XSVID-19",
    name: "a scheme in upper case",
    chain: leaf({ uris: ["SPIFFE://example.org/web"] }),
    expect: "SVID_ID",
  },
  {
    rule: "SID-13",
    name: "an upper-case trust domain",
    chain: leaf({ uris: ["spiffe://EXAMPLE.org/web"] }),
    expect: "SVID_ID",
  },
  {
    rule: "XSVID-06",
    name: "cA true",
    chain: leaf({ replace: { [oid.basicConstraints]: basicConstraints(true) } }),
    expect: "SVID_IS_AUTHORITY",
  },
  {
    rule: "XSVID-10",
    name: "keyCertSign",
    chain: leaf({ replace: { [oid.keyUsage]: keyUsage("digitalSignature", "keyCertSign") } }),
    expect: "SVID_KEY_USAGE",
  },
  {
    rule: "XSVID-10",
    name: "cRLSign",
    chain: leaf({ replace: { [oid.keyUsage]: keyUsage("digitalSignature", "cRLSign") } }),
    expect: "SVID_KEY_USAGE",
  },
  { rule: "XSVID-16", name: "the authority itself", chain: [root.der], expect: "SVID_NO_PATH" },
  {
    rule: "XSVID-16",
    name: "an authority with a workload's ID",
    chain: [makeAuthority({ uris: ["spiffe://example.org/web"], parent: root }).der],
    expect: "SVID_IS_AUTHORITY",
  },
  {
    rule: "XSVID-25",
    name: "serverAuth alone",
    chain: leaf({ replace: { [oid.extendedKeyUsage]: extendedKeyUsage(oid.serverAuth) } }),
    expect: "SVID_EXTENDED_KEY_USAGE",
  },
  {
    rule: "XSVID-25",
    name: "clientAuth alone",
    chain: leaf({ replace: { [oid.extendedKeyUsage]: extendedKeyUsage(oid.clientAuth) } }),
    expect: "SVID_EXTENDED_KEY_USAGE",
  },
  {
    rule: "XSVID-17",
    name: "expired",
    chain: leaf({ notAfter: noon - 1000 }),
    expect: "SVID_EXPIRED",
  },
  {
    rule: "XSVID-17",
    name: "not yet valid",
    chain: leaf({ notBefore: noon + 1000 }),
    expect: "SVID_NOT_YET_VALID",
  },
  {
    rule: "XSVID-17",
    name: "an unknown critical extension",
    chain: leaf({ add: [unknownCritical] }),
    expect: "SVID_CRITICAL_EXTENSION",
  },
];

const sanOfWeb = subjectAltName({ uris: ["spiffe://example.org/web"], dnsNames: [] }, true);

export const malformed: readonly HostileCase[] = (
  [
    ["XSVID-23", "a NUL in the URI name", rawUri("spiffe://example.org/web\u0000.evil")],
    ["XSVID-23", "a line break in a DNS name", rawDns("web\nURI:spiffe://example.org/admin")],
    ["XSVID-23", "a name with 8-bit characters", rawUri("spiffe://example.org/w\u00e9b")],
    ["XSVID-23", "two alternative name extensions", leaf({ add: [sanOfWeb] })],
    [
      "XSVID-23",
      "a name of no kind",
      [
        makeLeaf(root, {
          replace: {
            [oid.subjectAltName]: extension(
              oid.subjectAltName,
              true,
              sequence(element(implicitTag(9), Buffer.from("x"))),
            ),
          },
        }),
      ],
    ],
    [
      "XSVID-17",
      "bytes behind the certificate",
      [Buffer.concat([makeLeaf(root), Uint8Array.of(0)])],
    ],
    [
      "XSVID-17",
      "another algorithm outside of the signed part",
      leaf({ outerAlgorithm: sequence(objectIdentifier(oid.ecdsaWithSha512)) }),
    ],
    ["XSVID-17", "extensions in version 1", leaf({ version: 0 })],
    ["XSVID-17", "version 4", leaf({ version: 3 })],
    [
      "XSVID-17",
      "cA FALSE spelled out",
      leaf({
        replace: {
          [oid.basicConstraints]: extension(
            oid.basicConstraints,
            true,
            sequence(element(tag.boolean, Uint8Array.of(0))),
          ),
        },
      }),
    ],
    [
      "XSVID-17",
      "cA as 01 in place of FF",
      leaf({
        replace: {
          [oid.basicConstraints]: extension(
            oid.basicConstraints,
            true,
            sequence(element(tag.boolean, Uint8Array.of(1))),
          ),
        },
      }),
    ],
    [
      "XSVID-17",
      "an empty extended key usage",
      leaf({
        replace: { [oid.extendedKeyUsage]: extension(oid.extendedKeyUsage, false, sequence()) },
      }),
    ],
    ["XSVID-17", "no DER", [Buffer.from("-----BEGIN CERTIFICATE-----")]],
    ["XSVID-17", "an unreadable certificate after the leaf", [makeLeaf(root), Uint8Array.of(0x30)]],
  ] as const
).map(([rule, name, chain]) => ({ rule, name, chain, expect: "SVID_MALFORMED" }));

function rawUri(text: string): readonly Uint8Array[] {
  const value = sequence(element(generalName.uri, Buffer.from(text, "latin1")));
  return leaf({ replace: { [oid.subjectAltName]: extension(oid.subjectAltName, true, value) } });
}

function rawDns(text: string): readonly Uint8Array[] {
  const value = sequence(
    element(generalName.uri, Buffer.from("spiffe://example.org/web")),
    element(generalName.dns, Buffer.from(text, "latin1")),
  );
  return leaf({ replace: { [oid.subjectAltName]: extension(oid.subjectAltName, true, value) } });
}
